"""Views that are tables: a network, a trained model, a comparison, a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from deploytool.base.numbers import figure, figure_and_limit, percent
from deploytool.ir.comparison import ChangedAnswer
from deploytool.ir.score import R2, score_of
from deploytool.ir.verdict import Check, Difference, Rung, SpikeDifference, Verdict
from deploytool.report.views.frame import Cell, bar, items, paragraph, table, view

EPOCHS: Final = 8
"""The number of epochs shown, the last ones."""
CHANGED: Final = 8
"""The number of samples with another answer that are shown."""


def network_view(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """The nodes of a network: "node", "type", "shape", "weights", and maybe "original"."""
    renamed = any(row.get("original") for row in rows)
    columns = ["node", *(["original"] if renamed else []), "kind", "gives (C,\u00a0H,\u00a0W)", "weights"]
    body = [
        (row["node"], *([row.get("original")] if renamed else []), row["type"], row["shape"], row["weights"] or None)
        for row in rows
    ]
    return view(title, table(columns, body))


def model_view(title: str, history: Sequence[Mapping[str, Any]]) -> str:
    """The last epochs of a training, as rows of its history."""
    shown = history[-EPOCHS:]
    known = [(key, key.replace("_", " ")) for key in HISTORY if any(key in row for row in shown)]
    body = [(int(row["epoch"]), *(_history_cell(key, row.get(key)) for key, _ in known)) for row in shown]
    more = len(history) - len(shown)
    note = paragraph(f"after {more:,} earlier epochs", quiet=True) if more else None
    return view(title, note, table(("epoch", *(name for _, name in known)), body))


HISTORY: Final = ("loss", "validation_loss", "accuracy", "validation_accuracy", "r2", "validation_r2")
"""The keys of an epoch that are shown."""


def _history_cell(key: str, value: float | None) -> Cell:
    if value is None:
        return None
    return bar(value, value, 100, percent(value)) if key.endswith("accuracy") else figure(value)


def comparison_view(title: str, pair: Difference) -> str:
    """The spike difference of every layer with bars, other answers, and why the runs part."""
    details = pair.details
    rows = [("output", pair.output), *((each.layer, each) for each in pair.layers)]
    changed = details.changed[:CHANGED] if details else ()
    return view(
        title,
        paragraph(f"{details.networks} {_capital(pair.says)}." if details else f"{_capital(pair.says)}."),
        _values(pair),
        table(
            ("layer", "spike difference (pooled)", "mean over samples", "equal counts", "equal neurons"),
            [_difference_row(name, each, _largest(rows)) for name, each in rows],
        ),
        _answers(changed, len(details.changed) if details else 0),
        items("Why", [each.says for each in details.explained] if details else ()),
        paragraph(details.not_explained, quiet=True) if details and details.not_explained else None,
    )


def _values(pair: Difference) -> Markup | None:
    """The difference of the values that both runs read; None if they read classes."""
    if (found := pair.values) is None:
        return None
    unit = f" {found.unit}" if found.unit else ""
    says = f"Values: {figure(found.rms)}{unit} apart (root mean square), {figure(found.bias)}{unit} on average"
    return paragraph(f"{says}, equal in {percent(found.equal)} of windows.")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _largest(rows: Sequence[tuple[str, SpikeDifference]]) -> float:
    """The end of the axis of the bars: the largest difference, at least 1 %."""
    return max(1.0, *(each.pooled or 0 for _, each in rows), *(each.mean or 0 for _, each in rows))


def _difference_row(name: str, each: SpikeDifference, largest: float) -> tuple[Cell, ...]:
    pooled, mean = (
        percent(value) if value is None else bar(value, value, largest, percent(value))
        for value in (each.pooled, each.mean)
    )
    counts = None if each.exact_counts is None else percent(each.exact_counts)
    return name, pooled, mean, counts, f"{each.exact_neurons:,} of {each.neurons:,}"


def _answers(changed: Sequence[ChangedAnswer], number: int) -> Markup | None:
    """The samples with another answer; None if there is none."""
    texts = [
        f"sample {each.name}: {_class(each.reference)} became {_class(each.test)}"
        + (f", label {each.label}" if each.label >= 0 else "")
        for each in changed
    ]
    return items(f"Other answers: {number}", [*texts, *(["..."] if number > len(changed) else [])])


def _class(answer: int) -> str:
    return "no spike" if answer < 0 else str(answer)


def verdict_view(title: str, verdict: Verdict) -> str:
    """What ran, with its accuracy, and every check."""
    runs = [
        (run.name, run.samples, _score_cell(run), None if run.synops is None else figure(run.synops))
        for run in verdict.ran.values()
    ]
    score = next((score_of(run).title.lower() for run in verdict.ran.values() if not run.regression), R2)
    return view(
        title,
        paragraph(verdict.sentence),
        table(("run", "samples", score, "synaptic updates per sample"), runs),
        table(("check", "value", "limit", "result"), map(_check_row, verdict.checks)) if verdict.checks else None,
    )


def _score_cell(run: Rung) -> Cell:
    """The score of a run: a share with a bar, or the R2 of values and their error."""
    score = score_of(run)
    if run.accuracy is not None:
        return bar(run.accuracy, run.accuracy, 100, percent(run.accuracy))
    return f"{score.text}, {score.note}" if run.regression else None


def _check_row(check: Check) -> tuple[Cell, ...]:
    value, limit = (None, f"{check.limit:,.12g}") if check.value is None else figure_and_limit(check.value, check.limit)
    result = {True: "passed", False: "failed", None: "not run"}[check.passed]
    return check.says, value, f"{limit} {check.unit}", result
