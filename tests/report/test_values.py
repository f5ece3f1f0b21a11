"""A report on values: their errors and traces, and no word about classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.report_example import content, program, recordings

from deploytool.ir.decoder import Decoder
from deploytool.ir.recording import Recording
from deploytool.ir.windows import OutputWindows
from deploytool.recipe import ValidateSection
from deploytool.report.choice import choose
from deploytool.report.ci_text import verdict_markdown
from deploytool.report.content import ReportContent
from deploytool.report.headline import headlines
from deploytool.report.page import render
from deploytool.report.results import headline
from deploytool.report.values import sample_charts, sample_distances, sample_errors, values_section
from deploytool.validate.ladder import judge

WINDOWS = 4


def of_values(recording: Recording, noise: float) -> Recording:
    """``recording`` with values that are off by ``noise`` in the first sample, and by a little in all others."""
    rng = np.random.default_rng(0)
    samples, outputs = len(recording), recording.output_counts.shape[1]
    counts = rng.integers(0, 9, (samples * WINDOWS, outputs))
    decoder = Decoder(("v_y", "v_x"), rng.normal(size=(2, outputs)), np.zeros(2), "px/s")
    targets = decoder.decode(counts) + rng.normal(size=(len(counts), 2))
    targets[:WINDOWS] += noise
    windows = OutputWindows(np.full(samples, WINDOWS), counts, targets, decoder=decoder)
    return replace(recording, labels=np.full(samples, -1), windows=windows)


def page() -> ReportContent:
    made = [of_values(each, 50.0) for each in recordings("torch", "emulator", rasters=60)]
    runs = {each.rung: each for each in made}
    history = tuple({"epoch": e, "loss": 1, "r2": 0.5, "validation_loss": 1, "validation_r2": 0.1 * e} for e in (1, 2))
    verdict = judge(runs, ValidateSection(min_r2=0.1, max_rmse_rise=5))
    return content(verdict=verdict, runs=runs, chosen=choose(runs, 2), history=history)


@pytest.fixture(scope="module")
def made() -> ReportContent:
    return page()


def test_the_page_shows_errors_and_traces_and_nothing_of_classes(made: ReportContent) -> None:
    html = render(made)
    for said in ("How far are the values off?", "v_x by window, in px/s", "R² per epoch", "RMSE", "Between the runs"):
        assert said in html, said
    for other in (
        "Confusion matrix",
        "How often is each run right?",
        "blue where it is the label",
        "✗ wrong",
        "tie of",
    ):
        assert other not in html, other


def test_what_is_said_first_is_the_error(made: ReportContent) -> None:
    first, _ = headline(made.verdict)
    assert first.startswith("The emulator reads v_y, v_x with a root mean square error of ")
    assert "in 240 windows" in first
    assert headlines(made.verdict, program(), None)[0].title == "R²"
    assert "| Run | T | R² | Samples |" in verdict_markdown(made.verdict)


def test_the_sample_with_the_largest_error_is_chosen(made: ReportContent) -> None:
    assert made.chosen[0].index == 0
    assert made.chosen[0].reasons[0] == "among the 2 largest errors on emulator"
    assert sample_errors(made.runs["emulator"]).argmax() == 0
    assert not sample_distances(*made.runs.values()).any()


def test_figures_are_drawn_of_the_run_nearest_to_silicon(made: ReportContent) -> None:
    found = values_section(made.verdict, made.runs)
    assert found is not None
    assert (found.nearest, found.unit) == ("emulator", "px/s")
    assert [chart.title.split(":")[0] for chart in found.charts[:2]] == ["v_y", "v_x"]
    assert found.charts[2].caption == "torch grey, emulator blue"
    assert [chart.caption for chart in sample_charts(made.runs, 0)] == ["true grey, torch blue, emulator dashed"] * 2


def test_a_report_on_classes_has_no_section_on_values() -> None:
    plain = content("torch", "emulator")
    assert values_section(plain.verdict, plain.runs) is None
    assert sample_charts(plain.runs, 0) == ()
