"""Results for continuous integration: a verdict as JUnit XML, and summaries in GitHub's Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final
from xml.etree import ElementTree

from deploytool.base.numbers import figure, percent, whole
from deploytool.ir.score import score_of
from deploytool.ir.verdict import Check, Difference, Rung, Verdict

OUTCOMES: Final[Mapping[bool | None, str]] = MappingProxyType({True: "passed", False: "failed", None: "not run"})
LAYER: Final[Mapping[str, str]] = MappingProxyType(
    {"Kernel words": "kernel_words", "Neuron words": "neuron_words", "Core": "core"}
)
"""{heading: key} of the figures of a layer in the output of `check --json`."""
MARKUP: Final = "\\`*_[]<>|#&~$"
"""Characters with a meaning in GitHub's Markdown."""


def junit(verdict: Verdict) -> bytes:
    """``verdict`` as JUnit XML: a test case per check; one that was not run is an error, because it did not pass."""
    outcomes = [check.passed for check in verdict.checks]
    counts = {"tests": len(outcomes), "failures": outcomes.count(False), "errors": outcomes.count(None), "skipped": 0}
    suite = ElementTree.Element("testsuite", {"name": "deploytool", **{name: str(n) for name, n in counts.items()}})
    for check in verdict.checks:
        case = ElementTree.SubElement(suite, "testcase", {"classname": "deploytool.validate", "name": _case(check)})
        if not check.passed:
            problem = "error" if check.passed is None else "failure"
            ElementTree.SubElement(case, problem, {"type": check.id, "message": _legal(check.says)})
    text: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _case(check: Check) -> str:
    """The name of the test case: the same from run to run, so that its history can be followed."""
    return _legal(f"{check.id} ({', '.join(filter(None, (check.reference, check.test)))})")


def _legal(text: str) -> str:
    """``text`` without characters that XML does not allow."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def verdict_markdown(verdict: Verdict) -> str:
    """The checks of ``verdict``, its runs and their differences, as Markdown."""
    runs, differences = list(verdict.ran.values()), verdict.differences
    parts = [f"## deploytool validate: {_escaped(verdict.sentence)}"]
    if verdict.checks:
        checks = [(check.says, OUTCOMES[check.passed]) for check in verdict.checks]
        parts.append(_table(("Check", "Outcome"), checks))
    title = next((score_of(run).title for run in runs), "Accuracy")
    parts.append(_table(("Run", "T", title, "Samples", "SynOps per sample"), map(_run, runs)))
    if differences:
        parts.append(_table(("Reference", "Test", "Pooled", "Mean", "Same prediction"), map(_pair, differences)))
    if missing := [run.name for run in verdict.rungs if run.name not in verdict.ran]:
        parts.append(f"Not run: {', '.join(missing)}.")
    return "\n\n".join(parts) + "\n"


def _run(run: Rung) -> tuple[str, ...]:
    steps = "-" if run.time_steps is None else str(run.time_steps)
    score = score_of(run)
    shown = "no labels" if score.text is None else score.text
    return run.name, steps, shown, whole(run.samples), "-" if run.synops is None else figure(run.synops)


def _pair(pair: Difference) -> tuple[str, ...]:
    output = pair.output
    return pair.reference, pair.test, percent(output.pooled), percent(output.mean), percent(pair.agreement)


def fit_markdown(network: str, report: Mapping[str, Any]) -> str:
    """The output of `check --json` about ``network`` as Markdown."""
    verb = "fits" if report["fits"] else "does not fit"
    parts = [f"## deploytool check: {_escaped(network)} {verb} {report['chip']}"]
    problems = [f"{issue['says']} {issue['hint']}" for issue in report["issues"]]
    problems += [f"{refusal['command']}: {refusal['says']}" for refusal in report["refused_later"]]
    lists = {"Problems": problems, "Warnings": report["warnings"]}
    lists["Suggestions"] = [suggestion["says"] for suggestion in report["suggestions"]]
    for title, sentences in lists.items():
        if sentences:
            parts.append("\n".join([f"### {title}\n", *(f"- {_escaped(sentence)}" for sentence in sentences)]))
    rows = [
        (layer["name"], *("-" if layer[key] is None else whole(layer[key]) for key in LAYER.values()))
        for layer in report["layers"]
    ]
    if rows:
        parts.append(_table(("Layer", *LAYER), rows))
    return "\n\n".join(parts) + "\n"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *([_escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    """``text`` in one line of Markdown, in which nothing is markup."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return "".join(f"\\{character}" if character in MARKUP else character for character in line)
