"""Results for continuous integration: JUnit XML that a reader counts right, and Markdown in which nothing is markup."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from helpers import report_example as example
from hypothesis import given
from hypothesis import strategies as st

from deploytool.ir.verdict import Check, Verdict
from deploytool.recipe import ValidateSection
from deploytool.report.ci_text import fit_markdown, junit, verdict_markdown
from deploytool.validate.ladder import judge

CHECKS = (
    Check("min_accuracy", 98.0, 95.0, "%", True, "Accuracy on the emulator: 98.00 %", None, "emulator"),
    Check("max_spike_difference", 9.0, 5.0, "%", False, 'Difference: "9 < 10" & more', "simulator", "quantised"),
    Check("max_energy_uj", None, 5.0, "uJ", None, "Energy: not run", None, "board"),
)


def test_every_check_is_a_test_case_and_what_is_not_run_did_not_pass() -> None:
    suite = ElementTree.fromstring(junit(Verdict((), (), CHECKS)))
    assert suite.tag == "testsuite"
    counts = {name: suite.get(name) for name in ("name", "tests", "failures", "errors", "skipped")}
    assert counts == {"name": "deploytool", "tests": "3", "failures": "1", "errors": "1", "skipped": "0"}
    passed, failed, not_run = suite.findall("testcase")
    assert [case.get("name") for case in (passed, failed, not_run)] == [
        "min_accuracy (emulator)",
        "max_spike_difference (simulator, quantised)",
        "max_energy_uj (board)",
    ]
    assert list(passed) == []
    assert [(child.tag, child.get("message")) for child in failed] == [("failure", CHECKS[1].says)]
    assert [(child.tag, child.get("type")) for child in not_run] == [("error", "max_energy_uj")]


def test_a_verdict_without_checks_has_no_test_case() -> None:
    suite = ElementTree.fromstring(junit(Verdict((), (), ())))
    assert (suite.get("tests"), list(suite)) == ("0", [])


@given(st.text(max_size=30), st.text(max_size=10))
def test_any_text_is_well_formed(says: str, test: str) -> None:
    checks = (Check("min_accuracy", 1.0, 2.0, "%", False, says, None, test),)
    (case,) = ElementTree.fromstring(junit(Verdict((), (), checks)))
    message = case[0].get("message") or ""
    assert len(message) == len(says)
    assert all(new in (old, "\N{REPLACEMENT CHARACTER}") for new, old in zip(message, says, strict=True))
    table = verdict_markdown(Verdict((), (), checks)).splitlines()
    assert sum(line.endswith("| failed |") for line in table) == 1


def test_the_summary_has_checks_runs_and_differences() -> None:
    recordings = {found.rung: found for found in example.recordings("torch", "emulator")}
    lines = verdict_markdown(judge(recordings, ValidateSection(max_synops=1, max_spike_difference=5))).splitlines()
    assert lines[0] == "## deploytool validate: Of 2 checks, 1 failed and 1 not run."
    assert sum(line.endswith("| failed |") for line in lines) == 1
    assert sum(line.endswith("| not run |") for line in lines) == 1
    rows = [line.split(" | ") for line in lines]
    run = next(row for row in rows if row[0] == "| emulator" and len(row) == 5)
    assert run[1] == "-"
    assert run[2].endswith(" %")
    pair = next(row for row in rows if row[0] == "| emulator" and row[1] == "torch")
    assert all(cell.rstrip(" |").endswith(" %") for cell in pair[2:])
    assert lines[-1] == "Not run: quantised, simulator, board."


def test_the_summary_of_a_check() -> None:
    report: dict[str, Any] = {
        "fits": False,
        "chip": "speck2e",
        "issues": [{"says": "conv1 takes too much.", "hint": "Use a stride of 2."}],
        "refused_later": [{"command": "map", "says": "it refuses"}],
        "warnings": [],
        "suggestions": [{"says": "conv1: 8 features instead of 16"}],
        "layers": [{"name": "conv_1", "kernel_words": 1024, "neuron_words": 64, "core": None}],
    }
    assert fit_markdown("a|b.nir", report).splitlines() == [
        r"## deploytool check: a\|b.nir does not fit speck2e",
        "",
        "### Problems",
        "",
        "- conv1 takes too much. Use a stride of 2.",
        "- map: it refuses",
        "",
        "### Suggestions",
        "",
        "- conv1: 8 features instead of 16",
        "",
        "| Layer | Kernel words | Neuron words | Core |",
        "| --- | --- | --- | --- |",
        r"| conv\_1 | 1,024 | 64 | - |",
    ]
