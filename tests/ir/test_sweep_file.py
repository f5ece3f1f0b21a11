"""Sweeps on disk and as a table."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.sweeps import SWEEP, curve, point

from deploytool.base.errors import ArtifactError
from deploytool.ir.sweep import QUANTITIES
from deploytool.ir.sweep_file import COLUMNS, FILE, as_csv, load_sweep, save_sweep


def test_a_sweep_comes_back_as_it_was(tmp_path: Path) -> None:
    save_sweep(SWEEP, tmp_path)
    assert load_sweep(tmp_path) == SWEEP
    values = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
    assert values["curves"][0]["points"][1]["value"] == 4
    assert values["units"].keys() <= values["curves"][0]["points"][0].keys()


def test_a_row_for_each_point() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(SWEEP))))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == sum(len(curve.points) for curve in SWEEP.curves)
    assert rows[1]["model"] == "sdt"
    assert (rows[1]["quantity"], rows[1]["value"], rows[1]["accuracy"]) == ("time_steps", "4", "90.0")
    assert (rows[1]["accuracy_low"], rows[1]["accuracy_high"]) == ("82.0", "95.0")
    assert rows[1]["events"] == ""
    assert rows[1]["recordings"] == "recording-4"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"curves": []}, "curves"),
        ({"version": 99}, "format version 99"),
        ({"curves": [{}]}, "curves.0.model"),
        ({"samples": "many"}, "samples"),
        ({"more": 1}, "more"),
    ],
)
def test_damaged_files_are_refused(change: dict[str, object], says: str, tmp_path: Path) -> None:
    save_sweep(SWEEP, tmp_path)
    values = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
    (tmp_path / FILE).write_text(json.dumps(values | change), encoding="utf-8")
    with pytest.raises(ArtifactError, match=says):
        load_sweep(tmp_path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="not readable"):
        load_sweep(tmp_path)


def test_axes_have_their_unit() -> None:
    assert QUANTITIES["until_ms"].axis == "duration of the input (ms)"
    assert QUANTITIES["time_steps"].axis == "time steps per sample"
    assert all(name == quantity.name for name, quantity in QUANTITIES.items())


def test_bands_are_of_intervals_or_of_draws() -> None:
    draws = point(5, 80.0, range=(70.0, 85.0))
    perturbed = curve("sdt", "weights", point(0, 90.0), draws)
    assert [perturbed.band(each) for each in perturbed.points] == [(90, 90), (70, 85)]
    first = SWEEP.curves[0]
    assert first.band(first.points[0]) == first.points[0].interval_95
    assert SWEEP.bands == "95 % intervals (Wilson)"
    assert replace(SWEEP, curves=(perturbed,)).bands == "lowest and highest of the draws"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "'=1"])
def test_no_name_is_a_formula(name: str) -> None:
    swept = replace(SWEEP, curves=(replace(SWEEP.curves[0], model=name, source=name, reference=name),))
    for row in csv.DictReader(io.StringIO(as_csv(swept), newline="")):
        assert {row["model"], row["source"], row["reference"]} == {f"'{name}"}
