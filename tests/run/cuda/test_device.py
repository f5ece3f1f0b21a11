"""Runs on a GPU at the command line: what is said where there is none, and what does not go together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.command import answer, invoke, refusal

from deploytool.base.errors import TargetError
from deploytool.bench import bench
from deploytool.convert.nir import write_nir
from deploytool.ir.events import EVENT
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Input, Output, Spike
from deploytool.run.cuda.memory import available, gpu

without_a_gpu = pytest.mark.skipif(available(), reason="a GPU is here")


@without_a_gpu
def test_no_gpu_is_one_sentence() -> None:
    with pytest.raises(TargetError, match=r"^--device cuda: no GPU that CUDA can use; need an NVIDIA GPU"), gpu():
        pass


@without_a_gpu
def test_the_benchmark_says_that_it_was_not_run() -> None:
    assert bench("gpu")["gpu"] == [{"GPU": "not run: no GPU"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store that holds a program, and events for it."""
    conv = Conv(np.ones((1, 1, 3, 3), np.float32), padding=(1, 1))
    write_nir(chain([("in", Input((1, 4, 4))), ("conv", conv), ("if", Spike()), ("out", Output())]), tmp_path / "n.nir")
    np.save(tmp_path / "events.npy", np.zeros(3, EVENT))
    assert invoke(tmp_path, "map", tmp_path / "n.nir", "--target", "simulator").exit_code == 0
    return tmp_path


@without_a_gpu
def test_a_run_without_a_gpu_ends_with_the_code_of_a_target(folder: Path) -> None:
    asked = ("run", "program@latest", "--data", folder / "events.npy", "--on", "simulator", "--device", "cuda")
    assert "--device cuda: no GPU that CUDA can use" in refusal(invoke(folder, *asked), 8)


def test_the_device_is_no_part_of_what_was_asked(folder: Path) -> None:
    asked = ("run", "program@latest", "--data", folder / "events.npy", "--on", "simulator", "--json")
    computed = answer(invoke(folder, *asked))["artifact"]
    assert answer(invoke(folder, *asked, "--device", "cuda"))["artifact"] == computed


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--device", "tpu"), "--device: found 'tpu'; need cpu or cuda."),
        (("--device", "cuda", "--on", "quantised", "--time-steps", 3), "--device: cuda given with --on quantised"),
        (("--device", "cuda", "--on", "speck2edevkit:0"), "--device: cuda given with --on speck2edevkit:0"),
        (("--device", "cuda", "--on", "simulator", "--scheduler", "local"), "--device: cuda given with --scheduler"),
    ],
)
def test_what_does_not_go_together(folder: Path, options: tuple[object, ...], sentence: str) -> None:
    asked = ("run", "program@latest", "--data", folder / "events.npy", *options)
    assert sentence in refusal(invoke(folder, *asked), 2)
