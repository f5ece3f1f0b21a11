"""A folder with small inputs, in which the examples of the documentation run: while it is built, and in its tests."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import h5py
import numpy as np
from typer.testing import CliRunner

from deploytool.cli.app import app
from deploytool.convert.nir import write_nir
from deploytool.ir.events import EVENT
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Conv, Flatten, Input, Linear, Node, Output, Spike, SumPool

PROJECT: Final = Path(__file__).parents[2]
COLUMNS: Final = "88"
SMALLER: Final = {
    "time_steps = 40": "time_steps = 20",
    "epochs = 25": "epochs = 10",
    "average = 0.98": "average = 0.9",
    'set = "digits"': 'set = "digits"\ntrain_samples = 500\ntest_samples = 60',
    "min_accuracy = 95": "min_accuracy = 60",
    "max_accuracy_drop = 1": "max_accuracy_drop = 10",
}
"""What makes recipes/digits.toml train within seconds."""
STRIDE: Final = ("padding = 1 }", "padding = 1, stride = 3 }")
"""What makes it a recipe that does not fit."""

MODULE: Final = '''
import torch
from sinabs.layers import IAFSqueeze
from torch import nn


def build() -> nn.Module:
    """A network for events on a map of 2x16x16."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1, bias=False),
        IAFSqueeze(batch_size=1, min_v_mem=-1.0),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 8 * 8, 10, bias=False),
        IAFSqueeze(batch_size=1, min_v_mem=-1.0),
    )
'''


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and its exit code."""

    stdout: str
    stderr: str
    exit_code: int


@dataclass(frozen=True)
class Sandbox:
    """A folder in which commands run as a person would type them."""

    folder: Path

    def run(self, command: str) -> Outcome:
        """Runs one ``deploytool ...`` line. Names such as recording-1a2b stand for the newest artifacts."""
        arguments = shlex.split(self.named(command))[1:]
        with self.inside():
            result = CliRunner().invoke(app, arguments, env={"COLUMNS": COLUMNS, "NO_COLOR": "1"})
        here = f"{self.folder}/"
        return Outcome(result.stdout.replace(here, ""), result.stderr.replace(here, ""), result.exit_code)

    def named(self, command: str) -> str:
        """``command`` with the names of artifacts that are only examples replaced by those of real ones."""
        for kind in ("recording", "program", "graph", "model"):
            there = sorted(self.folder.glob(f"artifacts/{kind}-*"), key=lambda path: -path.stat().st_mtime_ns)
            examples = dict.fromkeys(re.findall(rf"\b{kind}-(?:1a2b|3c4d|5e6f)\b", command))
            for example, path in zip(examples, there, strict=False):
                command = command.replace(example, path.name[: len(kind) + 5])
        return command

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """The folder is the current one, and the width of a terminal is fixed."""
        with contextlib.chdir(self.folder):
            before = os.environ.get("COLUMNS")
            os.environ["COLUMNS"] = COLUMNS
            try:
                yield
            finally:
                os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)

    def copy(self, folder: Path) -> Sandbox:
        """The same inputs and artifacts in another ``folder``, for one page."""
        shutil.copytree(self.folder, folder)
        return Sandbox(folder)


@contextlib.contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A sandbox in a temporary folder: networks of several formats, events, a recipe, and what its pipeline made."""
    with tempfile.TemporaryDirectory(prefix="examples-") as folder:
        yield prepare(Path(folder) / "prepared")


def prepare(folder: Path) -> Sandbox:
    """Makes ``folder`` a sandbox: about ten seconds of training on two cores."""
    folder.mkdir(parents=True)
    (folder / "recipes").mkdir()
    (folder / "recipes" / "digits.toml").write_text(smaller_recipe(), encoding="utf-8")
    (folder / "recipes" / "stride.toml").write_text(smaller_recipe().replace(*STRIDE, 1), encoding="utf-8")
    (folder / "my_networks.py").write_text(MODULE, encoding="utf-8")
    _networks(folder)
    _events(folder)
    made = Sandbox(folder)
    for command in (
        "train recipes/digits.toml",
        "sweep model@latest --time-steps 4 --against none",
        "device selftest emulator --core 8 --only floor",
        "pipeline recipes/digits.toml",
    ):
        outcome = made.run(f"deploytool {command}")
        assert outcome.exit_code == 0, outcome
    return made


def smaller_recipe() -> str:
    """recipes/digits.toml with fewer samples and epochs."""
    text = (PROJECT / "recipes" / "digits.toml").read_text(encoding="utf-8")
    for found, replacement in SMALLER.items():
        assert found in text, f"recipes/digits.toml has no {found!r}"
        text = text.replace(found, replacement)
    return text


def _networks(folder: Path) -> None:
    """Networks as people have them: NIR, with and without what it leaves open, too large, ONNX, and a state dict."""
    write_nir(_network(16, 8), folder / "stated.nir")
    write_nir(_network(16, 8), folder / "net.nir")
    write_nir(_network(128, 8, padding=1), folder / "large.nir")
    for name in ("net.nir", "large.nir"):
        with h5py.File(folder / name, "r+") as file:
            _forget(file)
    _onnx(folder / "net.onnx")
    _state_dict(folder / "weights.pt")


def _forget(group: h5py.Group) -> None:
    """Removes what only deploytool writes, so that the file is one of another framework."""
    for name in list(group):
        if name == "metadata":
            del group[name]
        elif isinstance(group[name], h5py.Group):
            _forget(group[name])


def _network(side: int, features: int, padding: int = 1) -> Graph:
    rng = np.random.default_rng(0)
    small = side // 2

    def weights(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.3, shape).astype(np.float32)

    nodes: list[tuple[str, Node]] = [
        ("in", Input((2, side, side))),
        ("conv1", Conv(weights(features, 2, 3, 3), padding=(padding, padding))),
        ("if1", Spike(floor=-1.0)),
        ("pool1", SumPool((2, 2), (2, 2))),
        ("conv2", Conv(weights(4, features, 3, 3), stride=(2, 2), padding=(padding, padding))),
        ("if2", Spike(floor=-1.0)),
        ("pool2", SumPool((4, 4), (4, 4))),
        ("flatten", Flatten()),
        ("fc", Linear(weights(10, 4 * (small // 8) ** 2))),
        ("if3", Spike(floor=-1.0)),
        ("out", Output()),
    ]
    return chain(nodes)


def _onnx(path: Path) -> None:
    """A network with ReLUs, as torch exports it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = {
        "conv1.weight": rng.normal(0, 0.3, (8, 2, 3, 3)).astype(np.float32),
        "fc.weight": rng.normal(0, 0.1, (10, 8 * 8 * 8)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv1.weight"], ["a"], "conv1", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "relu1"),
        helper.make_node("AveragePool", ["b"], ["c"], "pool1", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["c"], ["d"], "flatten"),
        helper.make_node("Gemm", ["d", "fc.weight"], ["e"], "fc", transB=1),
        helper.make_node("Relu", ["e"], ["y"], "relu2"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def _state_dict(path: Path) -> None:
    """Weights for the network of recipes/digits.toml."""
    import torch

    generator = torch.Generator().manual_seed(0)
    shapes = {"conv1.weight": (8, 2, 3, 3), "conv2.weight": (16, 8, 3, 3), "fc1.weight": (10, 256)}
    torch.save({name: torch.randn(shape, generator=generator) * 0.2 for name, shape in shapes.items()}, path)


def _events(folder: Path) -> None:
    """One sample of 300 random events on a map of 2x16x16."""
    rng = np.random.default_rng(0)
    events = np.zeros(300, EVENT)
    events["t"] = np.sort(rng.integers(0, 100_000, 300))
    for axis, size in (("c", 2), ("y", 16), ("x", 16)):
        events[axis] = rng.integers(0, size, 300)
    np.save(folder / "events.npy", events)
