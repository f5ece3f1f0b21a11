"""The page: everything is on it, nothing is loaded from elsewhere, and equal content gives equal bytes."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from helpers import report_example as example

from deploytool.base.numbers import percent
from deploytool.chip.chips import CHIPS
from deploytool.ir.program import INPUT, Program
from deploytool.ir.recording import RUNGS, SPIKE, Recording
from deploytool.ir.verdict_file import as_json
from deploytool.map.calibrate import Calibrated, Gain, LayerCalibration
from deploytool.map.split import split
from deploytool.recipe import ValidateSection
from deploytool.report import network
from deploytool.report.choice import choose
from deploytool.report.content import Origin, Provenance, ReportContent
from deploytool.report.page import render, write_report
from deploytool.validate.ladder import judge

VOID = ("meta", "img", "br", "source")


class Page(HTMLParser):
    """Text, attributes and well-formedness of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.fixture(scope="module")
def content() -> ReportContent:
    return example.content()


@pytest.fixture(scope="module")
def html(content: ReportContent) -> str:
    return render(content)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_every_tag_is_closed(page: Page) -> None:
    assert page.open == []


def test_the_verdict_comes_first_and_every_check_is_said(content: ReportContent, page: Page) -> None:
    assert page.text.index(content.verdict.sentence) < page.text.index("How often is each run right?")
    for check in content.verdict.checks:
        assert check.says in page.text


def test_every_rung_layer_core_and_artifact_is_there(content: ReportContent, page: Page) -> None:
    for name in (*RUNGS, *content.program.layers, "core 0", "core 3", "core 4", "core 7"):
        assert name in page.text
    assert "cores 1, 2: 16,384 kernel and 65,536 neuron words each" in page.text
    assert "cores 5, 6: 65,536 kernel and 16,384 neuron words each" in page.text
    for item in content.origin.artifacts:
        assert item.name in page.text
        assert item.digest in page.text
    assert content.origin.recipe.splitlines()[0] in page.text
    for rung in content.verdict.ran.values():
        assert percent(rung.accuracy) in "".join(page.words)


def test_what_was_not_run_reads_not_run(html: str, page: Page) -> None:
    assert re.search(
        r'board<span.*?>\s*<div class="measure empty"></div>\s*<div class="value not-run">not run', html, re.S
    )
    assert "nothing in this report was measured on silicon" in page.text
    assert "no board was run" in page.text


def test_with_a_board_it_is_compared_and_the_sentence_is_gone() -> None:
    text = Page(render(example.content("emulator", "board"))).text
    assert "board, emulator" in text
    assert "No board was run" not in text
    assert "The board classifies" in text


def test_nothing_is_loaded_from_elsewhere(html: str, page: Page) -> None:
    """Links lead to places on the page, pictures are in it, and its policy admits nothing else."""
    loaded = [(name, value) for _, name, value in page.attributes if name in ("src", "href", "srcset", "data")]
    assert loaded
    assert all(value.startswith("#" if name == "href" else "data:image/") for name, value in loaded)
    assert "@import" not in html
    assert re.findall(r"url\((?!#)", html) == []
    (policy,) = [value for tag, name, value in page.attributes if (tag, name) == ("meta", "content") and "src" in value]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy


def test_links_lead_to_places_on_the_page(page: Page) -> None:
    targets = {value for _, name, value in page.attributes if name == "id"}
    links = {value.removeprefix("#") for tag, name, value in page.attributes if (tag, name) == ("a", "href")}
    assert links <= targets
    assert {"verdict", "accuracy", "difference", "cores", "cost", "samples", "weights", "origin"} <= links


def test_the_policy_admits_the_style_and_the_script_and_no_handler_is_inline(html: str, page: Page) -> None:
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.S)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in html
    assert not [name for _, name, _ in page.attributes if name == "style" or name.startswith("on")]


def test_every_picture_says_what_it_shows(page: Page) -> None:
    pictures = sum(1 for tag, name, _ in page.attributes if (tag, name) == ("img", "src"))
    described = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert pictures == len(described) >= 9
    assert all(len(value) > 20 for value in described)
    drawn = sum(1 for _, name, value in page.attributes if name == "role" and value in ("img", "group"))
    labelled = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert drawn == len(labelled) > 10


def test_equal_content_gives_equal_bytes(tmp_path: Path, content: ReportContent) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_report(example.content(), tmp_path / name)
    for file in ("report.html", "report.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert json.loads((tmp_path / "a" / "report.json").read_text()) == as_json(content.verdict)


def test_the_page_is_small_enough_to_mail(html: str) -> None:
    assert len(html) < 1_000_000


def test_so_is_one_of_many_events() -> None:
    """A hundred thousand events in each of six samples, of which no drawing can show all."""
    rng, number = np.random.default_rng(0), 100_000
    made = []
    for recording in example.recordings("torch", "emulator", samples=6, rasters=6):
        events = np.zeros((6, number), SPIKE)
        events["sample"] = np.arange(6)[:, None]
        events["t"] = np.sort(rng.integers(0, 300_000, (6, number)))
        for axis, size in zip("cyx", example.INPUT_SHAPE, strict=True):
            events[axis] = rng.integers(0, size, (6, number))
        made.append(dataclasses.replace(recording, spikes={**recording.spikes, INPUT: events.reshape(-1)}))
    runs = {recording.rung: recording for recording in made}
    html = render(example.content(runs=runs, verdict=judge(runs, ValidateSection()), chosen=choose(runs, 6)))
    assert html.count('<div class="player">') == 6
    assert len(html) < 3_000_000


def test_what_users_name_is_escaped() -> None:
    nasty = "</script><script>alert('x')</script>&\""
    made = [dataclasses.replace(r, samples=tuple([nasty] * len(r))) for r in example.recordings("emulator")]
    origin = Origin((Provenance(nasty, nasty, nasty, (nasty,)),), ((nasty, nasty),), nasty, {nasty: nasty})
    html = render(example.content(title=nasty, runs={"emulator": made[0]}, origin=origin))
    assert html.count("<script>") == 1
    assert "<script>alert" not in html
    assert Page(html).text.count(nasty) >= 10


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (ValidateSection(min_accuracy=100, max_synops=1), "Failed"),
        (ValidateSection(), "No verdict"),
        (ValidateSection(max_accuracy_drop=5), "Incomplete"),
    ],
)
def test_a_verdict_that_is_not_positive_does_not_look_so(limits: ValidateSection, says: str) -> None:
    html = render(example.content("emulator", limits=limits, samples=0))
    assert f"<h2>{says}</h2>" in html
    assert 'class="verdict good"' not in html


def test_a_report_of_the_least_there_can_be() -> None:
    (recording,) = example.recordings("torch", samples=2, rasters=0)
    unlabelled = dataclasses.replace(recording, labels=np.full(2, -1))
    verdict, program = judge({"r": unlabelled}, ValidateSection()), example.program("simulator")
    html = render(ReportContent("x", verdict, {"torch": unlabelled}, program, choose({"torch": unlabelled}, 1)))
    text = Page(html).text
    assert "undefined" not in text
    assert "no labels" in text
    assert "2 samples without labels" in text
    assert "there is only one recording" in text
    assert "not placed on a chip" in text
    assert "The spikes of this sample were not kept" in text
    assert "No training history" in text


def test_a_split_is_told_and_the_spikes_of_the_whole_stand_in_its_first_row() -> None:
    whole = example.program()
    parts = split(whole, {"conv2": (12, 4)}, CHIPS["speck2e"])
    placed = parts.with_layers(parts.layers, core_of={name: core for core, name in enumerate(parts.layers)})
    why = "takes 2,048 kernel words, and no core holds it: its features are shared 12 + 4"
    told = {"layer": "conv2", "into": ["conv2_part1", "conv2_part2"], "why": why}
    text = Page(render(example.content(program=placed, splits=(told,), samples=0))).text
    assert f"conv2 {why}. It becomes conv2_part1 and conv2_part2." in text
    assert text.count("all of conv2") == text.count("in conv2_part1’s row") == 1
    table = text[text.index("LayerCoreMap") : text.index("What does a sample cost?")]
    assert "not recorded" not in table
    assert "8 → 12 features, 3×3; conv2’s features 0 … 11 of 16" in text
    assert "8 → 4 features, 3×3; conv2’s features 12 … 15 of 16" in text


def test_a_renamed_layer_has_its_original_name_beside_it() -> None:
    plain = example.content()
    first, *_ = plain.program.layers
    assert "originally" not in render(plain)
    renamed = render(dataclasses.replace(plain, originals={first: "<features>.0"}))
    assert f"{first}<small>originally &lt;features&gt;.0</small>" in renamed


def test_a_whole_layer_has_its_spikes_without_a_note(page: Page) -> None:
    assert "all of" not in page.text
    assert "’s row" not in page.text


@pytest.mark.parametrize("kept", [True, False])
def test_calibration_shows_its_gains_on_both_groups_of_samples(kept: bool) -> None:
    def row(name: str, found: bool, alone: Gain) -> LayerCalibration:
        return LayerCalibration(
            name, kept and found, found, 640, 211, 3, 17, alone, Gain(6.5, 3.25), Gain(7.0, 4.0), Gain(7.5, 4.5)
        )

    rows = (row("conv1", True, Gain(6.25, 3.0)), row("fc1", False, Gain(None, None)))
    found = Calibrated(example.program(), kept, rows, Gain(4.0, 1.0), Gain(5.0, 2.0), samples=16, held_out=32)
    text = Page(render(example.content(calibration=found.as_json(), samples=0))).text
    assert found.says in text
    assert "searched on 16 samples; 32 other" in text
    for gain in ("6.25 % → 3.00 %", "7.50 % → 4.50 %", "5.00 % → 2.00 %", "no spikes"):
        assert gain in text
    assert ("conv1kept" if kept else "conv1closer alone, not kept") in text
    assert ("none was kept" in text) is not kept
    assert "fc1plain rule, none closer211 → 640317no spikes" in text


def test_without_calibration_or_an_outlier_nothing_reads_undefined(page: Page) -> None:
    assert "Calibration" not in page.text
    assert "undefined" not in page.text


def test_outputs_beyond_twenty_show_only_label_and_predictions() -> None:
    counts = np.zeros((1, 101, 1, 1), np.int64)
    counts[0, 57] = 3
    wide = Recording("emulator", ("a",), np.array([99]), ("fc1",), {"fc1": counts}, np.zeros(1), {}, {})
    verdict = judge({"r": wide}, ValidateSection())
    html = render(example.content(runs={"emulator": wide}, verdict=verdict, chosen=choose({"emulator": wide}, 1)))
    assert '<th scope="col">57</th><th scope="col" class="label">99</th>' in html
    text = Page(html).text
    assert "101 classes are too many to draw" in text
    assert "label → prediction: 99 → 57 (1)." in text


def test_memory_drawn_is_the_memory_that_the_compiler_counts() -> None:
    program: Program = example.program()
    for core in network.cores(program, CHIPS["speck2e"]):
        if core.layer:
            counted = program.layers[core.layer].memory()
            assert [memory.reserved for memory in core.memories] == [1 << counted.kernel_bits, 1 << counted.neuron_bits]
