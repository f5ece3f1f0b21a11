"""Whether a network fits a chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploytool.api.events import source_in
from deploytool.api.graph import network_in
from deploytool.api.model import recipe_from
from deploytool.api.result import counted, frame
from deploytool.api.session import cache_in
from deploytool.api.words import speaks_python
from deploytool.chip.chips import chip_named
from deploytool.recipe import MapSection, Recipe, asked
from deploytool.workflow import check as checking
from deploytool.workflow.sources.networks import NO_OPTIONS

if TYPE_CHECKING:
    import pandas

    from deploytool.workflow.check import Checked


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """Whether a network fits a chip, and if not, why, and what would make it fit: all that `check --json` says."""

    checked: Checked

    @property
    def fits(self) -> bool:
        """Whether it fits, and `compile` takes its weights."""
        return bool(self.as_json()["fits"])

    @property
    def chip(self) -> str:
        """The name of the chip."""
        return self.checked.report.chip

    @property
    def problems(self) -> tuple[str, ...]:
        """What breaks a rule of the chip, and what later functions would refuse: one sentence each."""
        broken = [f"{issue.says} {issue.hint}".strip() for issue in self.checked.report.issues]
        return (*broken, *(refusal.says for refusal in self.checked.later))

    @property
    def suggestions(self) -> tuple[str, ...]:
        """Changes that would make it fit, the best first."""
        return tuple(each.says for each in self.checked.report.suggestions)

    def as_json(self) -> dict[str, Any]:
        """What `deploytool check --json` says."""
        return self.checked.as_json()

    def rows(self) -> list[dict[str, Any]]:
        """One row per layer on a core: its memory in words, the cores that it fits, and its core."""
        rows: list[dict[str, Any]] = self.as_json()["layers"]
        return rows

    def to_dataframe(self) -> pandas.DataFrame:
        """`rows` as a table of pandas."""
        return frame(self.rows())

    def _repr_html_(self) -> str:
        from deploytool.report.views.cores import fit_view

        return fit_view(repr(self), self.as_json(), self.checked.report.program, chip_named(self.chip))

    def __bool__(self) -> bool:
        return self.fits

    def __repr__(self) -> str:
        report = self.checked.report
        if not report.fits:
            found = f"does not fit {self.chip}, {counted(len(report.issues), 'problem')}"
            return f"Fit({found}, {counted(len(report.suggestions), 'suggestion')})"
        used = len({layer.core for layer in report.layers})
        refused = "" if self.fits else ", compile refuses its weights"
        return f"Fit(fits {self.chip}, {counted(used, 'core')}{refused})"


@speaks_python
def check(
    net: object,
    chip: str | None = None,
    *,
    pins: Mapping[str, int] | None = None,
    split: bool = True,
    slow_clock_hz: int | None = None,
    events: object = None,
    rate: float | None = None,
) -> Fit:
    """Whether ``net`` fits ``chip``, by default the one that it was trained for, or speck2e.

    ``net`` is what `load` takes, or a recipe: a file, a Recipe or a dictionary. A .nir file need not state how its
    neurons reset. ``pins`` {layer: core} place layers; without ``split`` no layer is split over cores. At the ``rate``
    of input events per second, or that of ``events``, the answer also has energy and load.

    Raises as `load` does; a network that does not fit is a result and no error.
    """
    spec = asked(MapSection, pins=dict(pins or {}), split=split, slow_clock_hz=slow_clock_hz)
    checked = _checked(net, chip, spec)
    if events is not None or rate is not None:
        source = None if events is None else source_in(events, checked.report.program.input_shape)
        checked = checking.at_rate(checked, rate, source)
    return Fit(checked)


def _checked(net: object, chip: str | None, spec: MapSection) -> Checked:
    if isinstance(net, Recipe) or (isinstance(net, Mapping) and "network" in net):
        return checking.check_recipe(recipe_from(net), chip, spec)
    if isinstance(net, str | Path):
        return checking.check(cache_in(None).store, str(net), chip, spec, NO_OPTIONS)
    graph = network_in(net, "check")
    return checking.check(graph.cache.store, str(graph.path), chip, spec)
