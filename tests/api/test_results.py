"""Results: their one line, their tables, their views, and where they are kept."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas
import pytest
from helpers.command import network
from helpers.recordings import TWO_SAMPLES

import deploytool as dt
from deploytool.api.session import cache_in
from deploytool.ir.decoder import Decoder
from deploytool.ir.graph import Graph as Network
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Input, Output, Spike
from deploytool.ir.recording_file import save_recording
from deploytool.ir.windows import OutputWindows
from deploytool.store.artifact import Request

NASTY = '<script>alert("1")</script>'.replace("/", "\\")


def samples(number: int = 3) -> dt.Events:
    frames = np.random.default_rng(1).integers(0, 2, (number, 5, 2, 16, 16))
    return dt.events(frames, dt_ms=2, labels=[0, 1, 2][:number])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dt.Graph | dt.Fit | dt.Events | dt.Program]:
    """One result of each kind but a model, which the tests of the commands make."""
    store = tmp_path_factory.mktemp("results")
    net = dt.load(network(), store=store)
    program, events = dt.compile(net), samples()
    emulated = dt.emulate(program, events, rasters=1)
    simulated = dt.simulate(net, events)
    return {
        "Graph": net,
        "Fit": dt.check(net),
        "Program": program,
        "Simulated": dt.compile(net, "simulator"),
        "Events": events,
        "Recording": emulated,
        "Comparison": dt.compare(emulated, simulated, explain=[1]),
        "Verdict": dt.validate([emulated, simulated], min_accuracy=100),
    }


REPRS = {
    "Graph": r"Graph\(2x16x16 -> 3x7x7, 180 weights\)",
    "Fit": r"Fit\(fits speck2e, 2 cores\)",
    "Program": r"Program\(2 cores of speck2e, int8/int16\)",
    "Simulated": r"Program\(2 layers for the simulator, float32\)",
    "Events": r"Events\(3 samples, 2x16x16, [\d,]+ events\)",
    "Recording": r"Recording\(emulator, 3 samples, [\d.]+ %\)",
    "Comparison": r"Comparison\(simulator against emulator, 3 samples, [\d.]+ % the same answer, spike difference .*\)",
    "Verdict": r"Verdict\(simulator and emulator, Of 1 check, 1 failed\)",
}


def test_every_result_has_a_repr_of_one_line(results: dict[str, object]) -> None:
    assert results.keys() == REPRS.keys()
    for name, says in REPRS.items():
        assert re.fullmatch(says, repr(results[name])), repr(results[name])


class Parsed(HTMLParser):
    """The tags, the texts and the attributes of some HTML; an end tag without its start is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.attributes: set[str] = set()
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", REPRS)
def test_every_view_is_well_formed_and_has_no_script(results: dict[str, dt.Graph], name: str) -> None:
    found = Parsed(results[name]._repr_html_())
    assert not {"script", "iframe", "link", "img"} & set(found.tags)
    assert not {each for each in found.attributes if each.startswith("on") or each in ("href", "src")}
    assert repr(results[name]) in found.text


def test_a_view_shows_what_the_value_says(results: dict[str, dt.Program]) -> None:
    cores = Parsed(results["Program"]._repr_html_())
    assert all(f"core {number}" in cores.text for number in range(9))
    assert "svg" not in Parsed(results["Simulated"]._repr_html_()).tags
    fit = results["Fit"]
    assert isinstance(fit, dt.Fit)
    shown = Parsed(fit._repr_html_()).text
    for row in fit.rows():
        assert row["name"] in shown
        assert f"{1 << row['neuron_bits']:,} of " in shown
    recording = results["Recording"]
    assert isinstance(recording, dt.Recording)
    shown = Parsed(recording._repr_html_()).text
    for name, spikes in recording.spikes.items():
        assert f"{name}: {len(spikes):,} {'events' if name == 'input' else 'spikes'}" in shown
    assert Parsed(results["Comparison"]._repr_html_()).text.count("Sample 1 (sample 1") == 1


def nasty() -> Network:
    weight = np.ones((2, 2, 3, 3), np.float32)
    return chain([("in", Input((2, 16, 16))), (NASTY, Conv(weight)), ("spike & <b>", Spike()), ("out", Output())])


def test_names_are_escaped() -> None:
    net = dt.load(nasty())
    recording = dt.emulate(dt.compile(net), samples(), rasters=1)
    compared = dt.compare(recording, dt.simulate(net, samples()), explain=1)
    for result in (net, dt.check(net), dt.compile(net), recording, compared, dt.validate([recording])):
        html = result._repr_html_()
        assert "<script" not in html
        assert "<b>" not in html.replace("<b>", "", html.count("</b>"))
        Parsed(html)
    assert NASTY in Parsed(net._repr_html_()).text


def test_a_network_that_does_not_fit_says_why() -> None:
    weight = np.ones((64, 2, 5, 5), np.float32)
    big = chain([("in", Input((2, 128, 128))), ("conv", Conv(weight)), ("spike", Spike()), ("out", Output())])
    fit = dt.check(big)
    assert not fit
    assert repr(fit).startswith("Fit(does not fit speck2e, ")
    assert "conv" in fit.problems[0]
    html = Parsed(fit._repr_html_())
    assert fit.problems[0] in html.text
    assert fit.suggestions[0] in html.text
    with pytest.raises(dt.DeployError) as refused:
        dt.compile(big)
    assert refused.value.problems[0].split(";")[0] in fit.problems[0]


def test_tables(results: dict[str, dt.Recording]) -> None:
    table = results["Recording"].to_dataframe()
    assert list(table.columns) == ["sample", "label", "prediction", "synops"]
    assert table["label"].tolist() == [0, 1, 2]
    assert table["synops"].tolist() == results["Recording"].value.synops.tolist()
    layers = results["Program"].to_dataframe()
    assert layers["core"].tolist() == [results["Program"].value.core_of[name] for name in layers["layer"]]
    for name in ("Graph", "Fit", "Comparison", "Verdict"):
        assert isinstance(results[name].to_dataframe(), pandas.DataFrame)
        assert len(results[name].to_dataframe()) == len(results[name].rows()) > 0


def test_without_pandas_a_table_is_refused_in_a_sentence(
    results: dict[str, dt.Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(
        dt.DeployError, match=r"^to_dataframe: pandas is not installed; need pandas\. pip install pandas$"
    ):
        results["Recording"].to_dataframe()


def test_a_result_is_saved_with_all_that_it_was_made_from(results: dict[str, dt.Recording], tmp_path: Path) -> None:
    kept = dt.save(results["Verdict"], tmp_path)
    assert kept == results["Verdict"]
    assert kept.store == tmp_path
    names = sorted(path.name.partition("-")[0] for path in tmp_path.glob("*-*"))
    assert names == ["graph", "program", "program", "recording", "recording", "verdict"]
    opened = dt.open("recording@latest", tmp_path)
    assert isinstance(opened, dt.Recording)
    assert opened.value.samples == ("sample 0", "sample 1", "sample 2")
    assert isinstance(dt.open(kept.name, tmp_path), dt.Verdict)
    assert not isinstance(dt.open(kept.name, tmp_path), dt.Comparison)
    assert isinstance(dt.open(dt.save(results["Comparison"], tmp_path).name, tmp_path), dt.Comparison)
    dt.save(results["Graph"], tmp_path / "net.nir")
    assert dt.load(tmp_path / "net.nir").value.digest == results["Graph"].value.digest


def test_recordings_of_other_stores_are_compared(results: dict[str, dt.Recording], tmp_path: Path) -> None:
    net = dt.load(network(), store=tmp_path)
    elsewhere = dt.simulate(net, samples())
    assert dt.compare(results["Recording"], elsewhere, explain=[1]) == results["Comparison"]


def test_samples_of_a_script_are_in_the_report(results: dict[str, dt.Verdict], tmp_path: Path) -> None:
    page = dt.report(results["Verdict"], tmp_path / "page.html", samples=2, title="From a script")
    text = page.read_text()
    assert "From a script" in text
    assert "sample 0" in text
    assert "Its 3 samples were given by a script" in text


def test_what_ran_is_not_run_again(results: dict[str, dt.Recording]) -> None:
    program = results["Program"]
    assert isinstance(program, dt.Program)
    before = sorted(program.store.glob("recording-*"))
    assert dt.emulate(program, samples(), rasters=1) == results["Recording"]
    assert sorted(program.store.glob("recording-*")) == before
    assert dt.emulate(program, samples(2), rasters=1) != results["Recording"]


def test_a_recording_of_values_has_a_row_per_window(tmp_path: Path) -> None:
    """Two samples of two windows, whose value is n0 + 2 n2 - 1."""
    decoder = Decoder(("v",), np.array([[1.0, 0.0, 2.0]]), np.array([-1.0]), "px/s")
    counts, targets = np.array([[1, 9, 0], [0, 9, 1], [4, 0, 0], [0, 0, 3]]), np.array([[0], [2], [3], [3]])
    windows = OutputWindows(np.array([2, 2]), counts, targets, decoder=decoder)
    value = replace(TWO_SAMPLES, windows=windows)
    cache = cache_in(tmp_path)
    artifact = cache.store.put(Request("recording", {}, {}), lambda folder: save_recording(value, folder))
    found = dt.open(artifact.name, tmp_path)
    assert isinstance(found, dt.Recording)
    assert found.rows() == [
        {"sample": "a", "window": 0, "v": 0.0, "target v": 0.0},
        {"sample": "a", "window": 1, "v": 1.0, "target v": 2.0},
        {"sample": "b", "window": 0, "v": 3.0, "target v": 3.0},
        {"sample": "b", "window": 1, "v": 5.0, "target v": 3.0},
    ]
    assert found.errors is not None
    assert found.errors.mae == 0.75
    assert repr(found) == "Recording(emulator, 2 samples, R2 0.17)"
    assert "MAE (px/s)" in found._repr_html_()
