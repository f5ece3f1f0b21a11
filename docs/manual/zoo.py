"""The shipped models, from their table and from what was measured with them."""

from __future__ import annotations

from collections.abc import Iterator

from deploytool.base.numbers import figure, whole
from deploytool.zoo.figures import RungFigures, read_figures
from deploytool.zoo.models import MODELS, PREFIX, ROOT
from manual.markdown import definitions, table


def models() -> str:
    """Every shipped model: what it is, its figures on every rung, the licence of its data, and how it was made."""
    return "\n".join(f"## {PREFIX}{name}\n\n{''.join(_model(name))}" for name in MODELS)


def _model(name: str) -> Iterator[str]:
    model, figures = MODELS[name], read_figures(ROOT / name)
    yield f"{model.says[0].upper()}{model.says[1:]}, trained on {model.data.says}.\n\n"
    yield table(("Rung", "Right", "Samples", "Accuracy", "SynOps per sample"), map(_rung, figures.rungs))
    with_ = ", ".join(f"{package} {version}" for package, version in figures.measured_with.items())
    yield "\n" + definitions(
        [
            ("Made by", f"`{model.command}`, with {whole(figures.training_samples)} training samples"),
            ("Measured on", model.data.test),
            ("Measured with", f"{with_}; {figures.measured_on}; {figures.date}"),
            ("Licence of the data", f"{model.data.licence}. {model.data.attribution}."),
            ("Digest", f"`{figures.model}`"),
        ]
    )


def _rung(rung: RungFigures) -> tuple[str, ...]:
    if rung.right is None or rung.accuracy is None or rung.synops is None:
        return (rung.rung, "not run", "", "", "")
    accuracy = f"{figure(rung.accuracy)} %"
    return (rung.rung, whole(rung.right), whole(rung.samples), accuracy, whole(round(rung.synops)))
