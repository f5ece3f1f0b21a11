"""Files as torch's exporters write them: networks of the common kinds, every opset, against onnxruntime."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deploytool.base.arrays import Array, Shape
from deploytool.convert.onnx import read_onnx
from deploytool.ir.graph import Graph

pytest.importorskip("onnx", reason="onnx is an extra")
onnxruntime = pytest.importorskip("onnxruntime", reason="the peer that these tests compare with")

OLD_OPSETS: Final = range(11, 21)
"""Those of the exporter that traces (``dynamo=False``), which goes up to 20."""
NEW_OPSETS: Final = range(18, 24)
"""Those of the exporter that is the default since torch 2.9."""


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(128, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 10), nn.ReLU()
    )


class LeNet(nn.Module):
    """A map seen as a vector in the way that most scripts write it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 8, 3)
        self.pool, self.fc1, self.fc2 = nn.AvgPool2d(2), nn.Linear(8, 12), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.conv1(x).relu())
        x = self.pool(torch.relu(self.conv2(x)))
        x = x.view(x.size(0), -1)
        return torch.softmax(self.fc2(nn.functional.relu(self.fc1(x))).relu(), 1)


def vgg() -> nn.Module:
    def block(into: int, out: int) -> list[nn.Module]:
        return [nn.Conv2d(into, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]

    pool, head = nn.AvgPool2d(2), [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)]
    return nn.Sequential(*block(2, 8), *block(8, 8), pool, *block(8, 16), *head)


class Residual(nn.Module):
    """Shortcuts, and a mean over the map that ends in a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 3, padding=1)
        self.conv1, self.norm1 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.down, self.fc = nn.Conv2d(8, 8, 1), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        y = torch.relu(self.norm1(self.conv1(x)))
        x = torch.relu(self.norm2(self.conv2(y)) + self.down(x))
        return self.fc(x.mean((2, 3))).relu()


class Inception(nn.Module):
    """Branches side by side, a depthwise convolution, and an answer by argmax."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 1), nn.Conv2d(2, 4, 3, padding=1, stride=1)
        self.depthwise, self.fc = nn.Conv2d(8, 8, 3, stride=2, groups=8, dilation=2), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([torch.relu(self.a(x)), torch.relu(self.b(x))], 1)
        x = torch.flatten(torch.relu(self.depthwise(x)), 1)
        return self.fc(x)


NETWORKS: Final[Mapping[str, Callable[[], nn.Module]]] = {
    "MLP": mlp,
    "LeNet": LeNet,
    "VGG": vgg,
    "residual": Residual,
    "inception": Inception,
}
SHAPE: Final[Shape] = (2, 8, 8)


def network(name: str) -> nn.Module:
    """A network whose batch norms have seen something."""
    torch.manual_seed(sorted(NETWORKS).index(name))
    module = NETWORKS[name]()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (part.weight.data, part.bias.data, part.running_mean, part.running_var):
                assert tensor is not None
                tensor.copy_(torch.rand_like(tensor) + 0.2)
    return module.eval()


def answer(values: Array, path: Path) -> Array:
    """``values`` of the last layer behind the softmax that reading leaves out, where the network has one."""
    if path.stem != "LeNet":
        return values
    exponential = np.exp(values - values.max())
    return exponential / exponential.sum()


def compare(path: Path, analog: Callable[[Graph, Array], Array]) -> Graph:
    """The graph in ``path``, which gives what onnxruntime does, with the ReLU at the end that reading adds."""
    graph = read_onnx(path)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    for seed in range(3):
        values = np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)
        (expected,) = session.run(None, {given.name: values[None]})
        found = analog(graph, values).reshape(-1)
        np.testing.assert_allclose(answer(found, path), np.maximum(expected[0], 0), rtol=1e-5, atol=1e-6)
    return graph


@pytest.mark.parametrize("opset", OLD_OPSETS)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("batch", ["one sample", "any batch"])
def test_the_exporter_that_traces(
    name: str, opset: int, batch: str, tmp_path: Path, analog: Callable[[Graph, Array], Array]
) -> None:
    path = tmp_path / f"{name}.onnx"
    dynamic = {"x": {0: "batch"}} if batch == "any batch" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network(name),
            (torch.zeros(1, *SHAPE),),
            path,
            opset_version=opset,
            dynamo=False,
            input_names=["x"],
            dynamic_axes=dynamic,
            do_constant_folding=opset % 2 == 0,
        )
    compare(path, analog)


@pytest.mark.parametrize(
    ("name", "opset"),
    [*((name, opset) for name in NETWORKS for opset in NEW_OPSETS[::5]), *(("LeNet", n) for n in NEW_OPSETS[1:5])],
)
def test_the_exporter_of_today(name: str, opset: int, tmp_path: Path, analog: Callable[[Graph, Array], Array]) -> None:
    pytest.importorskip("onnxscript", reason="torch's exporter needs it")
    path = tmp_path / f"{name}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network(name), (torch.zeros(1, *SHAPE),), path, opset_version=opset, external_data=False, verbose=False
        )
    compare(path, analog)
