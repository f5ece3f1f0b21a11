"""Hostile names of nodes, classes and files, through every output: no name changes what an output consists of.

The same commands run with names that are harmless and with some that mean something in HTML, XML, Markdown, C, Python,
JSON, a spreadsheet or a terminal. What is left of each output when its texts are taken away must be equal.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
import zipfile
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers.command import answer, invoke
from hypothesis import assume, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from deploytool.base.printable import SPACES
from deploytool.cli.app import app
from deploytool.convert.nir import write_nir
from deploytool.ir.events import EVENT
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Input, Output, Spike, SumPool
from deploytool.map.c_header import c_string
from deploytool.recipe.toml import toml_value
from deploytool.report.ci_text import _table
from deploytool.workflow.package.texts import _text

HARMLESS = ("aa", "bb", "cc", "dd", "ee", "net")
HOSTILE = (
    "=1+1\x1b]0;x\x07",
    "<img src=x onerror=alert(1)>]]>",
    "a\r\nb\u202e|c",
    "-|`*_[x](y)<script>",
    "\t\"'&<!--\x9b",
    "@';{{7*7}}${x}\\",
)
"""Names of the nodes of a network, in their order, and of its file. The first three are also names of classes, the two
after them names of recordings."""

FORMULA = set("=+-@\t\r\n")


def network(names: tuple[str, ...]) -> Any:
    rng = np.random.default_rng(0)
    first = rng.normal(size=(4, 2, 3, 3)).astype(np.float32)
    last = rng.normal(size=(3, 4, 4, 4)).astype(np.float32)
    return chain(
        [
            ("in", Input((2, 8, 8))),
            (names[0], Conv(first, padding=(1, 1))),
            (names[1], Spike(floor=-1.0)),
            (names[2], SumPool((2, 2), (2, 2))),
            (names[3], Conv(last)),
            (names[4], Spike(floor=-1.0)),
            ("out", Output()),
        ]
    )


def recordings(folder: Path, names: tuple[str, ...]) -> None:
    """Two recordings of each of three classes."""
    rng = np.random.default_rng(1)
    for label in sorted(names[:3]):
        (folder / label).mkdir(parents=True)
        for name in names[3:5]:
            events = np.zeros(200, EVENT)
            events["t"] = np.sort(rng.integers(0, 20_000, 200))
            for axis, size in zip("cyx", (2, 8, 8), strict=True):
                events[axis] = rng.integers(0, size, 200)
            np.save(folder / label / f"{name}.npy", events)


@dataclass(frozen=True)
class Outputs:
    """What the commands printed for a person, and the files they wrote."""

    printed: tuple[str, ...]
    folder: Path

    def text(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")


def outputs(folder: Path, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> Outputs:
    """What every command whose output has names in it makes of a network and recordings with ``names``."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
    net = folder / f"{names[5]}.nir"
    write_nir(network(names), net)
    recordings(folder / "data", names)
    printed: list[str] = []

    def run(*arguments: object, code: int = 0) -> None:
        result = invoke(folder, *arguments)
        assert result.exit_code == code, result.output
        printed.extend([result.stdout, result.stderr])

    def recorded(*arguments: object) -> str:
        run("run", "program@latest", "--data", "data", *arguments)
        return str(answer(invoke(folder, "show", "recording@latest", "--json"))["artifact"])

    run("check", net, "--github-summary")
    run("convert", net)
    run("convert", net, "--lint")
    run("map", net)
    first = recorded("--rasters", 6)
    steps = recorded("--on", "quantised", "--time-steps", 4)
    run("compare", first, steps, "--explain")
    asked = ("--min-accuracy", 0, "--max-spike-difference", 1000)
    run("validate", first, "--against", steps, *asked, "--junit", "junit.xml", "--github-summary")
    run("report", "verdict@latest")
    run("sweep", net, "--time-steps", "1,2", "--data", "data", "--csv", "sweep.csv", "--figure", "sweep.svg")
    run("export", first, "--counts", "counts.csv")
    run("export", first, "--spikes", "spikes.csv")
    run("export", first, "--samples", "samples.csv")
    run("package", "program@latest", "--data", "data", "--samples", 2, "-o", "package.zip")
    for shown in ("graph@latest", "program@latest", first, "verdict@latest", "report@latest", "sweep@latest"):
        run("show", shown)
        answer(invoke(folder, "show", shown, "--json"))
    run("show")
    run("map", net, "--pin", f"{names[3]}x=0", code=2)
    run("export", first, "--counts", f"{names[0]}x", "-o", "x.npy", code=5)
    run("check", f"{names[5]}.onnx", code=4)
    return Outputs(tuple(printed), folder)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outputs, Outputs]:
    """The outputs with harmless and with hostile names."""
    folder = tmp_path_factory.mktemp("names")
    with pytest.MonkeyPatch.context() as patch:
        return outputs(folder / "harmless", HARMLESS, patch), outputs(folder / "hostile", HOSTILE, patch)


def test_a_terminal_only_shows_what_is_printed(both: tuple[Outputs, Outputs]) -> None:
    for text in both[1].printed:
        assert all(c.isprintable() or c in SPACES or c == "\n" for c in text)
    assert sum(r"a\r\nb\u202e|c" in text for text in both[1].printed) > 5


class Structure(HTMLParser):
    """The elements of a page with their attributes by name; and all values and texts, to be searched."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.texts += [value or "" for _, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self.elements.append((f"/{tag}", ()))

    def handle_comment(self, data: str) -> None:
        self.elements.append((f"comment {data}", ()))

    def handle_data(self, data: str) -> None:
        place = self.elements[-1][0] if self.elements else ""
        (self.scripts if place == "script" else self.texts).append(data)


def report(made: Outputs) -> Structure:
    (page,) = (made.folder / "store").glob("report-*/report.html")
    return Structure(page.read_text(encoding="utf-8"))


def test_a_report_has_the_same_elements(both: tuple[Outputs, Outputs]) -> None:
    harmless, hostile = map(report, both)
    assert hostile.elements == harmless.elements
    assert any(HOSTILE[3] in text for text in hostile.texts)
    assert any(r"\u202e|c" in text for text in hostile.texts)
    assert all(c.isprintable() or c in SPACES or c == "\n" for text in hostile.texts for c in text)
    for script in hostile.scripts[:-1]:
        assert "\u202e" not in str(json.loads(script))
    assert hostile.scripts[-1] == harmless.scripts[-1], "the script of the page"


def test_a_figure_has_elements_of_the_same_kinds(both: tuple[Outputs, Outputs]) -> None:
    """It draws letters as paths, of which another name has others."""
    kinds = [
        {(each.tag, *each.attrib) for each in ElementTree.fromstring(made.text("sweep.svg")).iter()} for made in both
    ]
    assert kinds[1] == kinds[0]


def test_junit_files_and_summaries_have_the_same_parts(both: tuple[Outputs, Outputs]) -> None:
    harmless, hostile = (ElementTree.fromstring(made.text("junit.xml")) for made in both)
    assert [case.attrib for case in hostile.iter()] == [case.attrib for case in harmless.iter()]
    lines = [[_without_words(line) for line in made.text("summary.md").splitlines()] for made in both]
    assert lines[1] == lines[0]


def _without_words(line: str) -> str:
    """The markup of a line of Markdown: what is not escaped and means something."""
    return "".join(re.findall(r"[`*_\[\]<>|#&~$]", re.sub(r"\\.", "", line)))


@pytest.mark.parametrize("name", ["counts.csv", "spikes.csv", "samples.csv", "sweep.csv"])
def test_tables_have_the_same_rows_and_no_formula(both: tuple[Outputs, Outputs], name: str) -> None:
    harmless, hostile = (list(csv.reader(io.StringIO(made.text(name), newline=""))) for made in both)
    assert [len(row) for row in hostile] == [len(row) for row in harmless]
    assert len(hostile) > 1
    for row in hostile:
        assert not [cell for cell in row if cell[:1] in FORMULA and not re.fullmatch(r"-[\d.]+", cell)]


def package(made: Outputs) -> dict[str, str]:
    """{file: text} of a package, without what is in arrays."""
    with zipfile.ZipFile(made.folder / "package.zip") as archive:
        names = [name for name in archive.namelist() if not name.endswith(".npy")]
        return {name.partition("/")[2]: archive.read(name).decode("utf-8") for name in names}


def test_packages_have_the_same_scripts_and_the_same_header(both: tuple[Outputs, Outputs]) -> None:
    harmless, hostile = map(package, both)
    assert hostile.keys() == harmless.keys()
    for name in hostile:
        if not name.endswith(".json"):
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", hostile[name]), name
        if name.endswith(".py"):
            assert hostile[name] == harmless[name]
        if name.endswith(".json"):
            json.loads(hostile[name])
        if name.endswith(".md"):
            markup = [re.sub(r"&#\d+;|[^|`<>\[\]*\n]", "", text[name]) for text in (harmless, hostile)]
            assert markup[0] == markup[1]
    code = [
        re.sub(r'"[^"]*"|/\*.*?\*/', "", text["c/speck_configuration.h"], flags=re.S) for text in (harmless, hostile)
    ]
    assert code[0] == code[1]
    assert hostile["c/speck_configuration.h"].isascii()


ANY = st.text() | st.text(st.sampled_from("\"'\\</>&|`*_\n\r\t\x1b\u202e=$#@~]-{}"))


@given(ANY)
def test_any_text_is_the_same_text_in_toml(text: str) -> None:
    assume(not any("\ud800" <= c <= "\udfff" for c in text))
    assert tomllib.loads(f"key = {toml_value(text)}") == {"key": text}
    assert tomllib.loads(f"{{}}key = {toml_value({text: 1})}".removeprefix("{}")) == {"key": {text: 1}}


@given(ANY)
def test_any_text_is_one_string_in_c(text: str) -> None:
    assume(not any("\ud800" <= c <= "\udfff" for c in text))
    written = c_string(text)
    assert re.fullmatch(r'"([A-Za-z0-9 _.,:()-]|\\[0-7]{3})*"', written)
    assert re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), written[1:-1].encode()) == text.encode()


@given(ANY, ANY)
def test_any_text_is_one_cell_of_a_summary(first: str, second: str) -> None:
    table = _table(("a", "b"), [(first, second)])
    assert [_without_words(line) for line in table.splitlines()] == ["|||"] * 3


@given(ANY)
def test_any_text_is_one_line_of_a_package_s_texts(text: str) -> None:
    assert not set(_text(text)) & set("\n\r|<>[]`*")


@pytest.mark.parametrize(
    "arguments", [("check", "a.nir", "{}"), ("{}",), ("check", "--{}"), ("run", "a", "--samples", "{}"), ("--{}",)]
)
def test_a_word_that_a_command_does_not_take_is_shown(arguments: tuple[str, ...]) -> None:
    said = CliRunner().invoke(app, [each.format("a\x1b[31m\u202eb\x9b") for each in arguments])
    assert said.exit_code == 2
    assert all(c.isprintable() or c == "\n" for c in said.output)
