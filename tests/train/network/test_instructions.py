"""Which instructions oneDNN gets, whose kernel for strided gradients writes beyond its memory with AVX2."""

from __future__ import annotations

import importlib
import os

import pytest
import torch

from deploytool.train import network

ISA = "ONEDNN_MAX_CPU_ISA"


@pytest.mark.parametrize(
    ("capability", "before", "after"),
    [("AVX2", None, "AVX"), ("AVX2", "SSE41", "SSE41"), ("AVX512", None, None), ("DEFAULT", None, None)],
)
def test_onednn_gets_avx_on_processors_with_avx2_alone(
    capability: str, before: str | None, after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setenv(ISA, before or "")
    if before is None:
        monkeypatch.delenv(ISA)
    importlib.reload(network)
    assert os.environ.get(ISA) == after
