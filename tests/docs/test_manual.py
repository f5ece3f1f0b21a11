"""What makes the documentation: examples, links and pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.report_example import content
from manual.commands import synopsis
from manual.examples import Example, completed, examples, parse, run, shown
from manual.pictures import PICTURES
from manual.rooms import rooms
from manual.sandbox import Sandbox
from manual.site import problems

from deploytool.base.errors import RecipeError
from deploytool.recipe import parse_recipe
from deploytool.report.page import render

PAGE = """
```{run} exit=7 lines=2
deploytool check large.nir \\
    --chip speck2e
```
<!-- not run: it needs a cluster -->
```python
import cluster
```
"""


def test_fences_are_found_with_their_options() -> None:
    first, second = examples(PAGE)
    assert (first.language, first.exit_code, first.commands) == (
        "run",
        7,
        ["deploytool check large.nir --chip speck2e"],
    )
    assert (second.language, second.why, second.body) == ("python", "it needs a cluster", "import cluster\n")


def test_a_page_shows_what_a_command_prints(prepared: Sandbox, tmp_path: Path) -> None:
    text = shown(PAGE, prepared.copy(tmp_path / "page"))
    assert "```console\n$ deploytool check large.nir" in text
    assert "does not fit speck2e" in text
    assert "\n...\n" in text
    assert "not run" not in text


def test_a_command_that_ends_otherwise_fails_the_page(prepared: Sandbox, tmp_path: Path) -> None:
    sandbox = prepared.copy(tmp_path / "page")
    with pytest.raises(AssertionError, match="exit code 7, expected 0"):
        run(Example("run", "", "deploytool check large.nir\n", 1), "deploytool check large.nir", sandbox)


@pytest.mark.parametrize(
    "command",
    [
        "deploytool pipeline recipes/digits.toml",
        "deploytool device selftest speck2edevkit:0",
        "torchrun --nproc-per-node 2 -m deploytool train recipes/digits.toml",
        "make demo",
        "pip install 'deploytool[cuda]'",
        "pytest hw_tests --device speck2edevkit:0",
    ],
)
def test_commands_that_could_run(command: str) -> None:
    parse(command)


@pytest.mark.parametrize(
    "command",
    [
        "deploytool pipelines recipes/digits.toml",
        "deploytool train recipes/digits.toml --epochs 3",
        "deploytool run --data digits",
        "make coffee",
        "pip install 'deploytool[gpu]'",
        "pytest tests_of_hardware --device emulator",
        "curl example.org",
    ],
)
def test_commands_that_could_not_run(command: str) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011
        parse(command)


def test_sections_of_a_recipe_are_completed() -> None:
    assert parse_recipe(completed({"train": {"epochs": 3}}), "").train.epochs == 3
    preset = {"network": {"preset": "nmnist", "input": [2, 34, 34], "classes": 10, "spiking_output": True}}
    assert parse_recipe(completed(preset), "").network.input == (2, 34, 34)
    with pytest.raises(RecipeError, match="unknown key"):
        parse_recipe(completed({"train": {"epoch": 3}}), "")


def test_options_have_ranges_and_defaults() -> None:
    text = synopsis("run")
    assert "`--on TEXT`{#option-run-on}" in text
    assert "Default: `emulator`." in text
    assert "`--repeats N`" in text
    assert "At least 1." in text
    assert "`--split / --no-split`" in synopsis("map")
    assert "From 0 to 100." in synopsis("validate")


def test_rooms_stand_below_what_they_import() -> None:
    names = [line.split("`")[1] for line in rooms().splitlines() if line.startswith("[`")]
    assert names[0] == "base"
    assert names[-1] == "cli"
    assert names.index("ir") < names.index("map") < names.index("workflow")


def test_a_site_without_faults(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<h1 id="top">A</h1><a href="b.html#part">b</a> <a href="https://a.org/x">x</a>')
    (tmp_path / "b.html").write_text('<h2 id="part">B</h2><a href="a.html">a</a><img src="data:image/png;base64,AA">')
    assert list(problems(tmp_path)) == []


@pytest.mark.parametrize(
    ("html", "says"),
    [
        ('<a href="c.html">', "a.html: c.html does not exist"),
        ('<a href="#nowhere">', "a.html: #nowhere has no such anchor"),
        ('<img src="c.png">', "a.html: c.png does not exist"),
        ('<a href="https://">', "a.html: https:// is no address"),
        ('<script src="https://cdn.org/x.js"></script>', "a.html: loads https://cdn.org/x.js from the network"),
        ('<link rel="stylesheet" href="//fonts.org/x.css">', "a.html: loads //fonts.org/x.css from the network"),
    ],
)
def test_faults_of_a_site_are_found(html: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(html)
    assert says in list(problems(tmp_path))


def test_pages_that_are_missing_are_a_fault(tmp_path: Path) -> None:
    assert len(list(problems(tmp_path))) == 1


@pytest.mark.parametrize("name", PICTURES)
def test_a_report_has_what_the_pictures_show(name: str) -> None:
    html = render(content("torch", "emulator"))
    selectors = " ".join((*PICTURES[name].shown, *PICTURES[name].hidden))
    named = re.findall(r"(?<=[#.])[a-z-]+", selectors)
    assert named
    for each in named:
        assert re.search(rf'(id|class)="([a-z -]* )?{each}[" ]', html), each
