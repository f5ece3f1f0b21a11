"""The network in training: layers, neurons, quantisers, compiled loops.

On processors with AVX2 but without AVX-512, oneDNN's kernel `brgconv_strided:avx2` for the gradient of the input of a
convolution with a stride writes beyond its memory (torch 2.13.0): most runs of a small network ended in a segmentation
fault or an abort. There oneDNN gets AVX, unless ONEDNN_MAX_CPU_ISA says otherwise. It reads that once, before its first
convolution.
"""

from __future__ import annotations

import os

import torch

if torch.backends.cpu.get_cpu_capability() == "AVX2":
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX")
