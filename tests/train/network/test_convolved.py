"""A convolution of the network in training, forward and backward, against sums written out."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from deploytool.recipe import ConvLayer
from deploytool.train.network.blocks import convolved

CHILD = """
import torch
from deploytool.recipe import ConvLayer
from deploytool.train.network.blocks import convolved

torch.manual_seed(0)
layer = ConvLayer.model_validate({"type": "conv", "out": 8, "kernel": 1, "stride": [2, 1]})
for channels in (1, 3, 4, 7, 12):
    maps = torch.rand(32, channels, 34, 34).contiguous(memory_format=torch.channels_last)
    weights = torch.rand(8, channels, 1, 1, requires_grad=True)
    sent = convolved(maps, weights, layer)
    gradient = torch.rand_like(sent).contiguous(memory_format=torch.channels_last)
    sent.backward(gradient)
    expected = torch.einsum("nohw,nchw->oc", gradient, maps[:, :, ::2])
    torch.testing.assert_close(weights.grad[..., 0, 0], expected, rtol=1e-4, atol=0)
"""


def test_gradients_of_strided_weights_stay_in_their_memory() -> None:
    """In a process of its own, with oneDNN's loops of AVX2: they ended it, or gave another gradient."""
    setting = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", CHILD], env=setting, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("stride", [1, 2, [3, 1]])
@pytest.mark.parametrize("kernel", [1, [1, 2], 3])
def test_equals_sums_over_places(kernel: object, stride: object, padding: int) -> None:
    layer = ConvLayer.model_validate({"type": "conv", "out": 3, "kernel": kernel, "stride": stride, "padding": padding})
    maps = torch.randn(2, 4, 7, 6, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, 4, *layer.kernel, dtype=torch.float64, requires_grad=True)
    padded = torch.nn.functional.pad(maps, [layer.padding[1]] * 2 + [layer.padding[0]] * 2)
    places = padded.unfold(2, layer.kernel[0], layer.stride[0]).unfold(3, layer.kernel[1], layer.stride[1])
    expected = torch.einsum("nchwyx,ocyx->nohw", places, weights)
    found = convolved(maps, weights, layer)
    torch.testing.assert_close(found, expected)
    gradient = torch.randn_like(found)
    for mine, theirs in zip(
        torch.autograd.grad(found, (maps, weights), gradient),
        torch.autograd.grad(expected, (maps, weights), gradient),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)
