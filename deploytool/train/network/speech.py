"""The encoder in front of a network of masks, and the decoder behind it (Conv-TasNet).

Luo and Mesgarani, "Conv-TasNet: surpassing ideal time-frequency magnitude masking for speech separation", IEEE/ACM
TASLP 27(8), 2019, arXiv 1809.07454. With filters of length L that overlap by half, and s = L / 2:

    code       w = ReLU(conv1d(mixture, encoder, stride s)), (B, F, W)
    network    gets (w - mean) / std * gain + bias, mean and std over filters and time of each mixture
    masks      m = sigmoid(its potentials), (B, K, F, W)
    estimates  conv_transpose1d(m w, decoder, stride s), (B, K, N): the filters are added where they overlap
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

ENCODER: Final = "speech.encoder"
GAIN: Final = "speech.gain"
BIAS: Final = "speech.offset"
DECODER: Final = "speech.decoder"
"""The names of these arrays among the weights of a training: (F, 1, L), (F, 1), (F, 1) and (F, 1, L)."""
_LEAST: Final = 1e-8


def initial(filters: int, length: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Random filters, uniform in +-1 / sqrt(``length``), a gain of 1 and a bias of 0."""
    bound = 1 / math.sqrt(length)
    drawn = [torch.empty(filters, 1, length).uniform_(-bound, bound, generator=generator) for _ in range(2)]
    return {ENCODER: drawn[0], GAIN: torch.ones(filters, 1), BIAS: torch.zeros(filters, 1), DECODER: drawn[1]}


def encoded(weights: Mapping[str, Tensor], mixtures: Tensor) -> Tensor:
    """(B, F, W): the code of ``mixtures`` (B, N)."""
    filters = weights[ENCODER]
    return F.conv1d(mixtures[:, None], filters, stride=filters.shape[-1] // 2).relu()


def normalised(weights: Mapping[str, Tensor], code: Tensor) -> Tensor:
    """(B, F, 1, W): what the network gets of a ``code`` (B, F, W)."""
    variance, mean = torch.var_mean(code, dim=(1, 2), correction=0, keepdim=True)
    return ((code - mean) / (variance + _LEAST).sqrt() * weights[GAIN] + weights[BIAS])[:, :, None]


def decoded(weights: Mapping[str, Tensor], code: Tensor, potentials: Tensor) -> Tensor:
    """(B, K, N): the estimates, from a ``code`` (B, F, W) and the ``potentials`` (B, K F W) of its masks."""
    masks = potentials.sigmoid().reshape(len(code), -1, *code.shape[1:])
    filters = weights[DECODER]
    waves = F.conv_transpose1d((masks * code[:, None]).flatten(0, 1), filters, stride=filters.shape[-1] // 2)
    return waves.reshape(*masks.shape[:2], -1)
