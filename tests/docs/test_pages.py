"""The pages: their examples run, and what they name exists."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from manual.commands import commands
from manual.examples import check, examples, parse, run
from manual.pages import GENERATED, MARK, PAGES, filled
from manual.sandbox import PROJECT, Sandbox

import deploytool as dt
from deploytool.base.errors import DeployError
from deploytool.chip.chips import chip_names
from deploytool.data.sets.sources import DATASETS
from deploytool.ir.spec.verify import RULES
from deploytool.recipe.presets.table import PRESETS
from deploytool.store.manifest import KINDS
from deploytool.train.methods.table import METHODS

TEXTS = {page: (PROJECT / page).read_text(encoding="utf-8") for page in [*PAGES, "README.md"]}
CODE = re.compile(r"`([^`\n]+)`")
ROOTS = ("deploytool/", "tests/", "recipes/", "docs/", "hw_tests/")


@pytest.mark.parametrize("page", PAGES)
def test_examples_run(page: str, prepared: Sandbox, tmp_path: Path) -> None:
    sandbox = prepared.copy(tmp_path / "page")
    names: dict[str, Any] = {}
    for example in examples(TEXTS[page]):
        check(example, sandbox, names)


def test_the_examples_of_the_readme_run(prepared: Sandbox, tmp_path: Path) -> None:
    sandbox = prepared.copy(tmp_path / "page")
    blocks = list(examples(TEXTS["README.md"]))
    for example in (block for block in blocks if block.language == "python"):
        check(example, sandbox, {})
    lines = [(example, line) for example in blocks if example.language != "python" for line in example.commands]
    assert len(lines) >= 6
    for example, line in lines:
        parse(line)
        if line.startswith("deploytool"):
            run(example, line, sandbox)


@pytest.mark.parametrize("page", TEXTS)
def test_files_that_a_page_names_exist(page: str) -> None:
    for name in CODE.findall(TEXTS[page]):
        if name.startswith(ROOTS) and not re.search(r"[<>* ]", name):
            assert (PROJECT / name).exists(), name


@pytest.mark.parametrize("page", TEXTS)
def test_links_between_files_lead_somewhere(page: str) -> None:
    """As on a code host, where the pages are read as they are; anchors are checked when the site is built."""
    links = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", TEXTS[page])
    for link in (one or other for one, other in links):
        if not link.startswith(("http", "#")):
            assert ((PROJECT / page).parent / link.partition("#")[0]).exists(), link


@pytest.mark.parametrize("page", PAGES)
def test_marks_are_known(page: str) -> None:
    assert {match["name"] for match in MARK.finditer(TEXTS[page])} <= GENERATED.keys()
    assert not MARK.search(filled(TEXTS[page]))


def test_everything_that_can_be_generated_is_on_a_page() -> None:
    used = {match["name"] for text in TEXTS.values() for match in MARK.finditer(text)}
    assert used == GENERATED.keys()


@pytest.mark.parametrize("name", commands())
def test_every_command_has_a_page_with_its_options_and_an_example(name: str) -> None:
    text = TEXTS[f"docs/commands/{name.split()[0]}.md"]
    assert f"<!-- generated: command {name} -->" in text
    assert any(line.startswith(f"deploytool {name}") for example in examples(text) for line in example.commands)


@pytest.mark.parametrize("name", commands())
def test_every_command_shows_an_example_that_parses(name: str) -> None:
    epilog = commands()[name].epilog
    assert epilog.startswith(f"Example: deploytool {name}")
    parse(epilog.removeprefix("Example: "))


def test_exit_codes_are_those_of_the_errors() -> None:
    table = GENERATED["exit-codes"]()
    for code in [0, 1, *(kind.exit_code for kind in DeployError.__subclasses__()), 9, 130]:
        assert f"| {code} |" in table


def test_every_rule_of_every_chip_is_there() -> None:
    rules, titles = GENERATED["rules"](), GENERATED["chips"]()
    assert all(f"`{rule.id}`" in rules and rule.hint in rules for rule in RULES)
    assert all(f"`{name}`" in titles for name in chip_names())


def test_every_data_set_and_network_is_there() -> None:
    sets, networks = GENERATED["data-sets"](), GENERATED["presets"]()
    assert all(f"`{name}`" in sets for name in DATASETS)
    assert all(f"`{name}`" in networks for name in PRESETS)


def test_every_extra_is_described() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = re.findall(r"^\| (`.*`) \| .+ \| .+ \| .+ \|$", TEXTS["docs/install.md"], re.MULTILINE)
    described = [extra for row in rows for extra in re.findall("`(.+?)`", row.split(" | ")[0])]
    assert sorted(described) == sorted(project["optional-dependencies"])


def test_every_function_and_result_of_the_python_api_is_there() -> None:
    page = filled(TEXTS["docs/python.md"])
    assert all(f"### `{name}`" in page for name in dt.NAMES if name not in ("DeployError", "EventStream", "Recipe"))
    assert "\n        bins: Bins = 'time',\n" in page
    assert "| `accuracy` | The share of labelled samples" in page


def test_every_training_method_is_described() -> None:
    terms = re.findall(r"^`(\w+)`\n: ", TEXTS["docs/commands/train.md"], re.MULTILINE)
    assert set(terms) == METHODS.keys()


def test_every_file_of_an_artifact_is_named(prepared: Sandbox) -> None:
    folders = [path for path in (prepared.folder / "artifacts").iterdir() if path.is_dir()]
    assert {path.name.split("-")[0] for path in folders} == set(KINDS)
    for file in (file for folder in folders for file in folder.iterdir()):
        assert file.name in TEXTS["docs/artifacts.md"], file


def test_the_keys_of_json_results_are_named(prepared: Sandbox) -> None:
    found = json.loads(prepared.run("deploytool check net.nir --json").stdout)
    assert all(f"`{key}`" in TEXTS["docs/commands/check.md"] for key in found)
    report = json.loads(next(prepared.folder.glob("artifacts/report-*/report.json")).read_text(encoding="utf-8"))
    assert all(f"`{key}`" in TEXTS["docs/commands/report.md"] for key in report)


def test_the_drawing_of_the_pipeline_names_commands() -> None:
    drawing = (PROJECT / "docs" / "images" / "pipeline.svg").read_text(encoding="utf-8")
    verbs = re.findall(r'class="verb"[^>]*>(\w+)<', drawing)
    assert set(verbs) == {"train", "convert", "check", "map", "run", "validate", "report"}
    assert set(verbs) <= commands().keys()


def test_pictures_are_small() -> None:
    pictures = [path for path in (PROJECT / "docs" / "images").iterdir() if path.suffix == ".webp"]
    assert pictures
    assert all(path.stat().st_size <= 200_000 for path in pictures)


def test_the_readme_is_short() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= 90
