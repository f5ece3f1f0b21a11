"""The notebooks run from the first cell to the last, and say what they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

for package in ("myst_nb", "torch", "sklearn", "pandas"):
    pytest.importorskip(package, reason=f"the notebooks need {package}, which make setup installs")

from manual.notebooks import FOLDER, NOTEBOOKS, executed, read  # noqa: E402

LINE_MAX = 90
pytestmark = pytest.mark.timeout(900)


def outputs(notebook: Any) -> Iterator[Any]:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield from cell.outputs


def printed(notebook: Any) -> str:
    return "".join(output.text for output in outputs(notebook) if output.get("name") == "stdout")


def run(name: str) -> Any:
    if name == "sinabs":
        pytest.importorskip("sinabs", reason="the notebook about sinabs needs sinabs, which make setup installs")
    return executed(name)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs_without_warnings_and_shows_something_in_most_cells(name: str) -> None:
    notebook = run(name)
    errors = "".join(output.text for output in outputs(notebook) if output.get("name") == "stderr")
    assert not re.search(r"\w*(Warning|Error)\b", errors), errors
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 5
    assert sum(bool(cell.outputs) for cell in code) > 0.6 * len(code)
    assert " at 0x" not in printed(notebook)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_is_prose_around_short_cells(name: str) -> None:
    notebook = read(name)
    prose = " ".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert len(prose.split()) > 200
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert max(map(len, cell.source.splitlines())) <= LINE_MAX
            assert "..." not in cell.source


def test_every_notebook_is_on_the_page_about_them() -> None:
    page = (FOLDER / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((\w+)\.md\)", page)) == {*NOTEBOOKS}
    assert set(page.partition(":hidden:\n\n")[2].removesuffix("```\n").split()) == {*NOTEBOOKS}


def test_a_network_that_does_not_fit_is_made_to_fit() -> None:
    shown = [output["data"]["text/plain"] for output in outputs(run("fit")) if "data" in output]
    assert shown[0] == "Fit(fits speck2e, 4 cores)"
    assert any(text.startswith("Fit(does not fit speck2e") for text in shown)
    assert shown[-1] != shown[0]


def test_the_answers_of_sinabs_are_those_of_the_integers_in_time_steps() -> None:
    assert "against sinabs: 100% the same answer" in printed(run("sinabs"))


def test_the_difference_shrinks_with_the_time_step() -> None:
    found = re.findall(r"^ *(\d+) steps: +([\d.]+) % of output", printed(run("differ")), re.MULTILINE)
    differences = [float(value) for _, value in found]
    assert len(differences) == 6
    assert differences == sorted(differences, reverse=True)


def test_the_conclusion_on_training_is_drawn_by_its_cells() -> None:
    said = re.findall(r"(\w+) minus SDT is (\S+), (\S+), (\S+) points\.\n +(.*)", printed(run("training")))
    assert len(said) == 6
    for _, *pairs, conclusion in said:
        signs = {value[0] for value in pairs if float(value)} | {"0" for value in pairs if not float(value)}
        assert conclusion.startswith("The same sign") == (len(signs) == 1 and signs != {"0"})
