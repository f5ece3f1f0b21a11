"""The picture for a paper."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.sweeps import SWEEP, curve, point

from deploytool.ir.sweep import Sweep
from deploytool.ir.sweep_file import save_sweep
from deploytool.report.paper import drawn

DRAW = """
import sys
from pathlib import Path
from deploytool.ir.sweep_file import load_sweep
from deploytool.report.paper import drawn
sys.stdout.buffer.write(drawn(load_sweep(Path(sys.argv[1])), sys.argv[2]))
"""


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_the_same_bytes_in_another_process(suffix: str, tmp_path: Path) -> None:
    save_sweep(SWEEP, tmp_path)
    command = [sys.executable, "-c", DRAW, str(tmp_path), suffix]
    other = subprocess.run(command, capture_output=True, check=True)
    assert other.stdout == drawn(SWEEP, suffix)


def test_fonts_are_embedded() -> None:
    assert b"<text" not in drawn(SWEEP, "svg")
    pdf = drawn(SWEEP, "pdf")
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf


def _axes(sweep: Sweep) -> int:
    return len(set(re.findall(r'id="(axes_\d+)"', drawn(sweep, "svg").decode())))


def test_a_plot_for_each_figure_that_is_known() -> None:
    assert _axes(SWEEP) == 6
    assert _axes(replace(SWEEP, curves=SWEEP.curves[:2])) == 3
    assert _axes(replace(SWEEP, curves=SWEEP.curves[2:])) == 3
    unknown = curve("sdt", "bits", *(point(b, 50.0 + b, spike_difference=None, synops=None) for b in (2, 8)))
    assert _axes(replace(SWEEP, curves=(unknown,))) == 1


def test_curves_without_labels_or_range_can_be_drawn() -> None:
    """One point, no accuracy, zeros, and a spread over many decades."""
    unlabelled = replace(point(4, 0.0), accuracy=None, interval_95=None, spike_difference=0.0)
    flat = curve("a", "time_steps", unlabelled)
    steep = curve("b", "until_ms", *(point(10.0**i, 50.0, synops=10.0**i, spike_difference=0.0) for i in range(8)))
    for each in (flat, steep):
        assert drawn(replace(SWEEP, curves=(each,)), "svg").startswith(b"<?xml")


def test_many_networks_have_lines_of_their_own() -> None:
    many = tuple(curve(f"net{i}", "time_steps", point(1, 50.0 + i), point(2, 60.0 + i)) for i in range(9))
    text = drawn(replace(SWEEP, curves=many), "svg").decode()
    styles = re.findall(r'style="(fill: none; stroke(?:-dasharray)?:[^"]*)"', text)
    assert len(set(styles)) >= 9


@pytest.mark.parametrize("name", ["$\\nosuch$", "a_$x^$", "$$", "\x1b\u202e\n", "北京", "_hidden"])
def test_no_name_is_a_formula_and_any_can_be_drawn(name: str) -> None:
    named = replace(SWEEP, data=name, curves=tuple(replace(curve, model=name) for curve in SWEEP.curves))
    assert drawn(named, "svg").startswith(b"<?xml")
