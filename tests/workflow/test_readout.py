"""The readings of a program's readout: shown for recordings that kept their spikes, as the readout was mapped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import answer, invoke

from deploytool.convert.nir import write_nir
from deploytool.ir.events import EVENT
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Input, Output, Spike
from deploytool.recipe import MapSection, ReadoutSection
from deploytool.store.artifact import SILENT, Store
from deploytool.store.cache import StageCache
from deploytool.workflow.convert import convert
from deploytool.workflow.map import map_graph

EVENTS_MS = ((1, 1), (2, 1), (3, 0), (11, 0), (12, 0), (13, 1), (25, 1))
"""(time, class) of input events, each of which makes its class fire once."""


def mapped(folder: Path, spec: MapSection, shape: tuple[int, int, int] = (2, 1, 1)) -> None:
    """A program whose output neurons repeat its input, and a folder ``events`` with one sample of 30 ms."""
    repeat = np.eye(shape[0], dtype=np.float32)[:, :, None, None]
    nodes = [("in", Input(shape)), ("fc", Conv(repeat)), ("if", Spike(floor=-1.0)), ("out", Output())]
    write_nir(chain(nodes), folder / "net.nir")
    cache = StageCache(Store(folder / "store"), SILENT)
    map_graph(cache, convert(cache, str(folder / "net.nir")), spec=spec)
    events = np.zeros(len(EVENTS_MS), EVENT)
    events["t"] = [1000 * ms for ms, _ in EVENTS_MS]
    events["c" if shape[0] > 1 else "x"] = [place for _, place in EVENTS_MS]
    (folder / "events" / "0").mkdir(parents=True)
    np.save(folder / "events" / "0" / "a.npy", events)


def run(folder: Path, *options: object) -> Any:
    return answer(invoke(folder, "run", "program@latest", "--data", folder / "events", *options, "--json"))


@pytest.mark.parametrize(("layout", "shape"), [("16x1x1", (2, 1, 1)), ("1x4x4", (1, 1, 2))])
def test_a_run_gives_the_decision_of_each_sample_and_json_every_reading(
    tmp_path: Path, layout: Any, shape: tuple[int, int, int]
) -> None:
    mapped(tmp_path, MapSection(slow_clock_hz=100, readout=ReadoutSection(layout=layout)), shape)
    shown = run(tmp_path, "--rasters", 1)
    assert shown["readout"].startswith(
        "every tick of 100 Hz gives the class with most spikes in the last period, if that is above 1 spike per period"
    )
    (decision,) = shown["readout_decisions"]
    (found,) = shown["readings"]
    readings = found["ticks"]
    assert (decision["sample"], decision["label"]) == (found["sample"], 0)
    assert (decision["class"], decision["ms"], decision["last_class"], decision["idle"]) == (1, 10, 0, 0)
    assert readings[:2] == [
        {"t_us": 10_000, "class": 1, "counts": [1, 2]},
        {"t_us": 20_000, "class": 0, "counts": [2, 1]},
    ]
    assert decision["readings"] == len(readings) == 2
    told = invoke(tmp_path, "show", "recording@latest").stdout
    assert "readout_decisions" in told
    assert "readings:" not in told


def test_a_readout_that_is_never_above_its_threshold_is_idle(tmp_path: Path) -> None:
    mapped(tmp_path, MapSection(slow_clock_hz=1000, readout=ReadoutSection(average=16)))
    shown = run(tmp_path, "--rasters", 1)
    assert shown["readout_decisions"][0]["class"] is None
    assert shown["readout_decisions"][0]["ms"] is None
    readings = shown["readings"][0]["ticks"]
    assert readings[15] == {"t_us": 16_000, "class": None, "counts": [3, 3]}
    assert readings[17]["counts"] == [3, 1]
    assert shown["readout_decisions"][0]["idle"] == len(readings)


def test_what_the_readout_needs_is_told_and_nothing_without_one(tmp_path: Path) -> None:
    mapped(tmp_path, MapSection(readout=ReadoutSection()))
    assert run(tmp_path, "--rasters", 1)["readout"].startswith("not emulated: it needs a slow clock")
    for name, spec, said in (
        ("clock", MapSection(slow_clock_hz=100, readout=ReadoutSection()), "not emulated: it needs single output"),
        ("plain", MapSection(slow_clock_hz=100), None),
    ):
        (tmp_path / name).mkdir()
        mapped(tmp_path / name, spec)
        shown = run(tmp_path / name)
        assert not {"readings", "readout_decisions"} & shown.keys()
        assert "readout" not in shown if said is None else shown["readout"].startswith(said)
