"""What can be refused without the samples is refused before a file of theirs is opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.command import invoke, refusal
from helpers.opened import opened_in

from deploytool.convert.nir import write_nir
from deploytool.data.sets import digits
from deploytool.ir.events import EVENT
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Input, Output, Spike


@pytest.fixture
def images() -> Path:
    """The folder of the file with the images of the set digits, which no function holds in memory."""
    pytest.importorskip("sklearn")
    digits.labelled_images.cache_clear()
    return digits._installed("sklearn")


@pytest.fixture
def too_large(tmp_path: Path) -> Path:
    """A network whose layer no core holds, on the map of the digits."""
    nodes = [
        ("in", Input((2, 16, 16))),
        ("conv", Conv(np.ones((2048, 2, 3, 3), np.float32), padding=(1, 1))),
        ("if", Spike(floor=-1.0)),
        ("out", Output()),
    ]
    write_nir(chain(nodes), tmp_path / "large.nir")
    return tmp_path / "large.nir"


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    for name in ("left", "right"):
        (folder / name).mkdir(parents=True)
        np.save(folder / name / "0.npy", np.zeros(3, EVENT))
    return folder


def test_files_that_are_opened_are_seen(tmp_path: Path, images: Path) -> None:
    with opened_in(images) as opened:
        assert invoke(tmp_path, "run", "zoo:digits", "--data", "digits", "--samples", 1).exit_code == 0
    assert [path.name for path in opened] == [Path(digits.FILE).name]


def test_an_unknown_target(tmp_path: Path, images: Path) -> None:
    with opened_in(images) as opened:
        refusal(invoke(tmp_path, "run", "zoo:digits", "--data", "digits", "--on", "emulatr"), 2)
    assert opened == []


def test_a_set_on_another_map(tmp_path: Path, images: Path) -> None:
    with opened_in(images) as opened:
        refusal(invoke(tmp_path, "run", "zoo:digits", "--data", "digits", "--pool", "2"), 5)
    assert opened == []


def test_a_network_that_does_not_fit(tmp_path: Path, images: Path, too_large: Path) -> None:
    calibrated = ("--quantise", "calibrated", "--data", "digits")
    graph = invoke(tmp_path, "convert", too_large, "--reset", "subtract")
    assert graph.exit_code == 0, graph.output
    with opened_in(images) as opened:
        refusal(invoke(tmp_path, "map", "graph@latest", *calibrated), 7)
    assert opened == []


def test_a_network_for_another_map_than_that_of_its_calibration(tmp_path: Path, images: Path) -> None:
    calibrated = ("--quantise", "calibrated", "--data", "digits", "--pool", "2")
    assert invoke(tmp_path, "convert", "zoo:digits").exit_code == 0
    with opened_in(images) as opened:
        assert "events on a map of 2x8x8" in refusal(invoke(tmp_path, "map", "graph@latest", *calibrated), 5)
    assert opened == []


def test_recordings_for_an_unknown_target(tmp_path: Path, recordings: Path) -> None:
    with opened_in(recordings) as opened:
        refusal(invoke(tmp_path, "run", "zoo:digits", "--data", recordings, "--on", "emulatr"), 2)
    assert [path for path in opened if path.is_file()] == []


def test_recordings_for_the_calibration_of_a_network_that_does_not_fit(
    tmp_path: Path, recordings: Path, too_large: Path
) -> None:
    assert invoke(tmp_path, "convert", too_large, "--reset", "subtract").exit_code == 0
    with opened_in(recordings) as opened:
        refusal(invoke(tmp_path, "map", "graph@latest", "--quantise", "calibrated", "--data", recordings), 7)
    assert [path for path in opened if path.is_file()] == []
