"""The command line for tests: a small recipe and network, how commands are invoked, what they answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner, Result

from deploytool.cli.app import app
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Conv, Input, Output, Spike, SumPool

RECIPE = """
name = "small"
[data]
set = "digits"
train_samples = 120
test_samples = 30
[network]
input = [2, 16, 16]
layers = [
    { type = "conv", out = 4, kernel = 3, stride = 2, padding = 1 }, { type = "spike" },
    { type = "sumpool", kernel = 2 },
    { type = "flatten" }, { type = "linear", out = 10 }, { type = "spike" },
]
[train]
time_steps = 6
epochs = 2
batch = 32
learning_rate = 5e-3
[run]
rasters = 2
[validate]
min_accuracy = 0
max_accuracy_drop = 100
"""

Deploytool = Callable[..., Result]


def invoke(folder: Path, *arguments: object) -> Result:
    command = [*map(str, arguments), "--store", str(folder / "store")]
    return CliRunner().invoke(app, command)


def answer(result: Result, exit_code: int = 0) -> Any:
    """The one JSON object on stdout."""
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def refusal(result: Result, exit_code: int) -> str:
    """The sentence on stderr; nothing on stdout, and no traceback."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def network(**conv: Any) -> Graph:
    weight = np.linspace(-0.5, 1, 4 * 2 * 9, dtype=np.float32).reshape(4, 2, 3, 3)
    nodes = [
        ("in", Input((2, 16, 16))),
        ("conv", Conv(conv.pop("weight", weight), **conv)),
        ("if", Spike(floor=-1.0)),
        ("pool", SumPool((2, 2), (2, 2))),
        ("conv2", Conv(np.ones((3, 4, 3, 3), np.float32), padding=(1, 1))),
        ("if2", Spike()),
        ("out", Output()),
    ]
    return chain(nodes)
