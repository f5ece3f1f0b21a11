"""The verb check: whether a network fits a chip, whether map accepts its weights, and what later commands refuse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploytool.base.errors import DeployError, FitError, UsageError
from deploytool.chip.chips import Chip, chip_named
from deploytool.ir.graph import Graph
from deploytool.recipe import DataSection, MapSection, Recipe, load_recipe
from deploytool.recipe.load import in_file
from deploytool.store.artifact import Store
from deploytool.workflow.map import PLAIN, extras_of
from deploytool.workflow.preflight import require_configurable, untrainable
from deploytool.workflow.sources.networks import (
    DEFAULT_CHIP,
    NO_OPTIONS,
    ImportOptions,
    NamedNetwork,
    assumed_network,
    kind_of,
    named_network,
    recipe_geometry,
    refuse_options,
    trained_for,
)

if TYPE_CHECKING:
    from deploytool.data.sets.summary import DataSummary
    from deploytool.map.compile import CheckReport
    from deploytool.validate.expected import Expected
    from deploytool.workflow.sources.samples import SampleSource


@dataclass(frozen=True)
class Refusal:
    """What a later ``command`` refuses, in one sentence, and the exit code that it ends with."""

    command: str
    says: str
    exit_code: int


@dataclass(frozen=True)
class Checked:
    """Whether a network fits (``report``), what ``later`` commands refuse, and ``warnings`` about its weights.

    ``cost`` is what it costs at a rate of input events, if one was given. ``originals`` {layer: its name in the user's
    module} are of the layers that got a readable name. ``data`` is what a recipe's own recordings are.
    """

    report: CheckReport
    later: tuple[Refusal, ...]
    warnings: tuple[str, ...] = ()
    cost: Expected | None = None
    originals: Mapping[str, str] = field(default_factory=dict)
    data: DataSummary | None = None

    @property
    def exit_code(self) -> int:
        """7 for a network that does not fit, otherwise the exit code of the refusal by train or map."""
        if not self.report.fits:
            return FitError.exit_code
        return next((refusal.exit_code for refusal in self.later if refusal.command in ("train", "map")), 0)

    def as_json(self) -> dict[str, Any]:
        """The report, with ``fits`` also false if ``map`` refuses the weights."""
        refused = any(refusal.command == "map" for refusal in self.later)
        found = self.report.as_json()
        whole = {part: split.layer for split in self.report.splits for part in split.into}
        return {
            **found,
            "layers": [
                {**layer, "original": self.originals.get(whole.get(layer["name"], layer["name"]))}
                for layer in found["layers"]
            ],
            "fits": self.report.fits and not refused,
            "refused_later": [{"command": refusal.command, "says": refusal.says} for refusal in self.later],
            "warnings": list(self.warnings),
            **({"cost": _cost_json(self.cost)} if self.cost else {}),
            **({"data": self.data.as_json()} if self.data else {}),
        }


def _cost_json(cost: Expected) -> dict[str, Any]:
    found = asdict(cost)
    rate = found.pop("rate")
    return {"events_per_s": rate["mean"], "busiest_ms_events_per_s": rate["busiest_ms"], **found}


def at_rate(checked: Checked, rate: float | None, samples: SampleSource | None) -> Checked:
    """``checked`` with what the network costs at ``rate`` events per second, or at the rate of ``samples``.

    Raises UsageError for both.
    """
    from deploytool.validate.expected import InputRate, expected, measured_rate

    if rate is not None and samples is not None:
        raise UsageError("--rate", "given with --data", "one of the two")
    if rate is None and samples is None:
        return checked
    program = checked.report.program
    found = measured_rate(samples.load(program.input_shape)) if samples else InputRate(rate or 0.0)
    return replace(checked, cost=expected(program, found))


def rules(chip: str | None = None) -> list[str]:
    """Every rule of ``chip`` in one sentence each; the default is the default chip of recipes."""
    from deploytool.ir.spec.verify import rules_manual

    return rules_manual(chip_named(chip or DEFAULT_CHIP)).splitlines()


def check(
    store: Store, source: str, chip: str | None = None, spec: MapSection = PLAIN, options: ImportOptions = NO_OPTIONS
) -> Checked:
    """Whether the network that ``source`` names fits ``chip``, by default the one it is trained for.

    Raises as `named_network`, except for facts missing in a .nir file, which the answer reports.
    """
    kind = kind_of(source)
    refuse_options(kind, options)
    if kind == "a recipe":
        found = check_recipe(load_recipe(Path(source)), chip, spec)
        placed = in_file((each.says for each in found.later), Path(source))
        later = [replace(each, says=says) for each, says in zip(found.later, placed, strict=True)]
        return replace(found, later=tuple(later))
    refused: list[Refusal] = []
    if kind == "a .nir file":
        with store.messages.doing(f"reading {Path(source).name}"):
            graph, unsaid = assumed_network(Path(source), options)
        refused += [Refusal("convert", says, 2) for says in unsaid]
        network = NamedNetwork(graph)
    else:
        network = named_network(store, source, options)
    asked = chip_named(chip or trained_for(store, network.artifact) or DEFAULT_CHIP)
    with store.messages.doing("trying the network on the chip"):
        return replace(_check_weights(network.graph, asked, spec, refused), originals=network.originals)


def check_recipe(recipe: Recipe, chip: str | None = None, spec: MapSection = PLAIN) -> Checked:
    """Whether the network that ``recipe`` trains fits, with the pins of both, and what training would refuse."""
    from deploytool.map.compile import check as check_fit

    pins = {**recipe.map.pins, **spec.pins}
    if spec.slow_clock_hz is not None:
        clocked = recipe.map.model_copy(update={"slow_clock_hz": spec.slow_clock_hz})
        recipe = recipe.model_copy(update={"map": clocked})
    graph = recipe_geometry(recipe)
    report = check_fit(graph, chip_named(chip or recipe.constraints.chip), pins, recipe.map.split and spec.split)
    later = list(dict.fromkeys(_refused_by_train(recipe)))
    if report.fits and recipe.run.on_chip:
        try:
            require_configurable(recipe)
        except DeployError as error:
            later += _sentences("train", error)
    data, refused = _recordings(recipe.data)
    later += [refusal for refusal in refused if refusal not in later]
    return Checked(report, tuple(later), data=data)


def _recordings(section: DataSection) -> tuple[DataSummary | None, list[Refusal]]:
    """(what the recordings of ``section`` are, if it is a folder of a user's own; what training refuses of them)."""
    from deploytool.data.sets.sources import EVENT_SETS
    from deploytool.data.sets.table import key_problems

    source = EVENT_SETS.get(section.set)
    if source is None or source.opens is None or list(key_problems(section)):
        return None, []
    from deploytool.data.sets.summary import summary

    try:
        return summary(section), []
    except DeployError as error:
        return None, list(_sentences("train", error))


def _refused_by_train(recipe: Recipe) -> Iterator[Refusal]:
    """What training ``recipe`` would refuse, as far as that is known before reading samples."""
    for problem in untrainable(recipe):
        yield from _sentences("train", problem)


def _check_weights(graph: Graph, chip: Chip, spec: MapSection, later: list[Refusal]) -> Checked:
    """Whether ``graph`` fits. If it does, it is mapped, and the answer includes what ``map`` reports."""
    from deploytool.map.compile import check as check_fit
    from deploytool.map.compile import compile_graph

    report = check_fit(graph, chip, spec.pins, spec.split)
    if not report.fits:
        return Checked(report, tuple(later))
    try:
        mapped = compile_graph(graph, chip, pins=spec.pins, split=spec.split, extras=extras_of(spec))
    except DeployError as error:
        return Checked(report, (*later, *_sentences("map", error)))
    return Checked(report, tuple(later), tuple(says for layer in mapped.quantisation for says in layer.warnings))


def _sentences(command: str, error: DeployError) -> Iterator[Refusal]:
    return (Refusal(command, says, error.exit_code) for says in error.sentences)
