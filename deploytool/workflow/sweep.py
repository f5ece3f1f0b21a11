"""The verb sweep: one quantity varied, over one or several networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deploytool.base.arrays import Array
from deploytool.base.errors import UsageError
from deploytool.base.files import write_file
from deploytool.chip.chips import chip_named
from deploytool.ir.fan_out import fan_outs
from deploytool.ir.program_file import load_program
from deploytool.ir.recording import RungName
from deploytool.ir.sweep import QUANTITIES, Curve, Point, QuantityName, Sweep
from deploytool.ir.sweep_file import as_csv, load_sweep, save_sweep
from deploytool.store.artifact import Artifact, Request, Store
from deploytool.store.cache import StageCache
from deploytool.validate.early_exit import POLICIES, PolicyName, evidence
from deploytool.workflow.map import Width
from deploytool.workflow.sources.networks import NO_OPTIONS, ImportOptions
from deploytool.workflow.sources.recordings import load
from deploytool.workflow.sources.samples import SampleSource
from deploytool.workflow.swept import REFERENCES, Runs, samples_of, swept

if TYPE_CHECKING:
    from deploytool.validate.curves import AnyTime

OPTIONS: Final[Mapping[QuantityName, str]] = {
    "time_steps": "--time-steps",
    "events": "--events",
    "until_ms": "--until-ms",
    "bits": "--bits",
    **dict.fromkeys(("order", "drop", "threshold", "weights"), "--perturb"),
    **dict.fromkeys(POLICIES, "--early-exit"),
}
"""The option of each quantity."""

REPEATS: Final = 5
"""Draws of a perturbation, by default."""
NO_REFERENCE: Final = "none"
AGAINST: Final = (*REFERENCES, NO_REFERENCE)
SAME_ARITHMETIC: Final[Mapping[RungName, RungName]] = {"torch": "simulator", "quantised": "emulator"}
"""The event-driven run in the arithmetic of a clock-driven one."""


@dataclass(frozen=True)
class Asked:
    """What a sweep varies: one ``quantity`` over its ``values``; and ``exits`` {policy: thresholds} of early exits.

    ``on`` is what runs the networks, ``against`` the event-driven run that spike differences are from, or "none"; by
    default they follow from the quantity and the network. ``target`` is the chip that networks are mapped for.
    ``requantise`` allows widths other than the trained one. Perturbations are drawn ``repeats`` times from ``seed``.
    ``outputs_only`` keeps no spikes of inner layers, so that synaptic updates of an earlier end are not known.
    Raises UsageError with every mistake.
    """

    quantity: QuantityName | None = None
    values: tuple[int | float, ...] = ()
    exits: Mapping[PolicyName, tuple[int | float, ...]] = field(default_factory=dict)
    on: str | None = None
    against: str | None = None
    target: str | None = None
    requantise: bool = False
    repeats: int | None = None
    seed: int = 0
    outputs_only: bool = False

    def __post_init__(self) -> None:
        if problems := list(_mistakes(self)):
            raise UsageError.together(problems)
        if self.target is not None:
            chip_named(self.target)

    @property
    def how(self) -> str:
        """How points come about: "run", "cut" or "perturb"."""
        return "cut" if self.quantity is None else QUANTITIES[self.quantity].how

    @property
    def rungs(self) -> tuple[RungName, ...]:
        """What can run the networks."""
        if self.quantity == "time_steps":
            return ("torch", "quantised")
        return ("emulator",) if self.quantity == "bits" else ("emulator", "simulator")

    def as_json(self) -> dict[str, Any]:
        """What decides about the recordings and the curves."""
        exits = {str(name): list(values) for name, values in self.exits.items()}
        return {"quantity": self.quantity, "values": list(self.values), "early_exit": exits, "against": self.against}


def _mistakes(asked: Asked) -> Iterator[UsageError]:
    if asked.quantity is None and not asked.exits:
        options = ", ".join(dict.fromkeys(OPTIONS.values()))
        yield UsageError("sweep", "nothing to vary", f"one of {options}")
        return
    given: list[tuple[QuantityName, tuple[int | float, ...]]] = list(asked.exits.items())
    if asked.quantity is not None:
        given.insert(0, (asked.quantity, asked.values))
    for name, values in given:
        yield from _wrong_values(name, values)
    if asked.on is not None and asked.on not in asked.rungs:
        yield UsageError(f"--on {asked.on}", _given_with(asked), f"--on {' or '.join(asked.rungs)}")
    if asked.exits and asked.how != "cut":
        yield UsageError("--early-exit", _given_with(asked), "--events, --until-ms or neither")
    if asked.against is not None and (asked.how != "run" or asked.against not in AGAINST):
        found = _given_with(asked) if asked.how != "run" else "no such reference"
        yield UsageError(f"--against {asked.against}", found, f"{', '.join(AGAINST)}, with --time-steps or --bits")
    if asked.requantise and asked.quantity != "bits":
        yield UsageError("--requantise", _given_with(asked), "--bits")
    if asked.how != "perturb" and (asked.repeats is not None or asked.seed):
        yield UsageError("--repeats, --seed", _given_with(asked), "--perturb")
    if asked.outputs_only and asked.how != "cut":
        yield UsageError("--outputs-only", _given_with(asked), "--events, --until-ms or --early-exit")


def _given_with(asked: Asked) -> str:
    return "given with " + (OPTIONS[asked.quantity] if asked.quantity else "--early-exit alone")


def _wrong_values(name: QuantityName, values: Sequence[int | float]) -> Iterator[UsageError]:
    """One error for the first value of each kind of mistake."""
    quantity = QUANTITIES[name]
    kind = "whole numbers" if quantity.whole else "numbers"
    need = f"{kind} from {quantity.least:g} to {quantity.most:,.12g}"
    if not values:
        yield UsageError(OPTIONS[name], "no values", need)
    wrong = [each for each in values if not quantity.least <= each <= quantity.most or (quantity.whole and each % 1)]
    if wrong:
        yield UsageError(OPTIONS[name], f"found {wrong[0]:g}", need)
    elif twice := [each for at, each in enumerate(values) if each in values[:at]]:
        yield UsageError(OPTIONS[name], f"found {twice[0]:g} twice", "every value once")


@dataclass(frozen=True)
class Plan:
    """What a network runs ``on``, and the event-driven run that it is compared ``against`` if a curve needs another."""

    runs: Runs
    on: RungName
    against: RungName | None

    def map_programs(self, asked: Asked) -> None:
        """Maps every program that the runs need, so that a network that does not fit is refused before the first."""
        if asked.quantity == "bits":
            for value in asked.values:
                self.runs.program(self.on, self.width(int(value)))
        elif not (self.on == "torch" and self.runs.in_torch):
            self.runs.program(self.on)
        if self.against is not None:
            self.runs.program(self.against)

    def width(self, bits: int) -> Width:
        """Weights of ``bits``, requantised if they were trained at another width."""
        return Width(bits, requantise=self.runs.weight_bits not in (None, bits))


@dataclass(frozen=True)
class Ran:
    """The recordings of one network: ``settings`` {value: its recordings, one for each draw}, and the ``reference``.

    ``says`` is what the reference is. For any-time prediction there are only ``blocks``, recordings of successive
    samples with all spikes, and the ``program`` that ran.
    """

    plan: Plan
    says: str
    reference: Artifact | None
    settings: Mapping[int | float, tuple[Artifact, ...]] = field(default_factory=dict)
    blocks: tuple[Artifact, ...] = ()
    program: Artifact | None = None

    @property
    def inputs(self) -> Iterator[Artifact]:
        """Every recording."""
        if self.reference is not None:
            yield self.reference
        for artifacts in (*self.settings.values(), self.blocks):
            yield from artifacts


def sweep(
    cache: StageCache,
    sources: Sequence[str],
    asked: Asked,
    samples: SampleSource | None = None,
    options: ImportOptions = NO_OPTIONS,
) -> Artifact:
    """The sweep of the networks that ``sources`` name, over what is ``asked``.

    They run on ``samples``, or on the test samples of the recipes they were trained with. Every run is a recording in
    the store; after an interruption, finished ones are not run again.
    Raises UsageError, before anything runs, for networks that cannot be swept.
    """
    networks = swept(cache, sources, options)
    each = samples_of(cache.store, networks, samples)
    runs = [Runs(cache, network, source, asked.target) for network, source in zip(networks, each, strict=True)]
    if problems := [problem for run in runs for problem in _refusals(run, asked)]:
        raise UsageError.together(problems)
    plans = [_plan(run, asked) for run in runs]
    for plan in plans:
        plan.map_programs(asked)
    ran = [_ran(plan, asked) for plan in plans]
    inputs = {f"{i}.{j}": artifact.digest for i, of in enumerate(ran) for j, artifact in enumerate(of.inputs)}
    labels = [network.label for network in networks]
    request = Request("sweep", inputs, {**asked.as_json(), "labels": labels})
    data = str(each[0].says.get("set") or each[0].says.get("files"))
    return cache.stored(request, lambda: _judged(cache.store, data, ran, asked), save_sweep)


def write(artifact: Artifact, csv: Path | None, figures: Sequence[Path] = ()) -> None:
    """Writes the curves of a sweep as a table to ``csv``, and as a picture to ``figures`` (.svg, .pdf or .png)."""
    sweep = load_sweep(artifact.path)
    if csv is not None:
        write_file(csv, as_csv(sweep).encode())
    for path in figures:
        from deploytool.report.paper import drawn

        write_file(path, drawn(sweep, path.suffix.removeprefix(".")))


def _refusals(runs: Runs, asked: Asked) -> Iterator[UsageError]:
    """Why a network cannot be swept as ``asked``."""
    network = runs.network
    is_program = network.source.kind == "program"
    if asked.target is not None and is_program:
        yield UsageError("--target", f"given with {network.source.name}, which is mapped already", "no --target")
    if asked.quantity == "bits" and is_program:
        found = f"the widths of the weights of {network.source.name} are fixed"
        yield UsageError("--bits", found, "the model or graph that it was mapped from")
    elif not (possible := runs.possible(asked.rungs)) or (asked.on is not None and asked.on not in possible):
        found = f"given with {network.source.name}, which is not mapped for that"
        yield UsageError(
            f"--on {asked.on or asked.rungs[0]}", found, f"--on {' or '.join(possible)}" if possible else ""
        )
    elif asked.against == "emulator" and is_program and not runs.possible(("emulator",)):
        found = f"given with {network.source.name}, which is not mapped for a chip"
        yield UsageError("--against emulator", found, "--against simulator")
    elif asked.quantity == "bits":
        yield from _other_widths(runs, asked)


def _other_widths(runs: Runs, asked: Asked) -> Iterator[UsageError]:
    trained = runs.weight_bits
    if trained is None or asked.requantise or set(asked.values) == {trained}:
        return
    bits = ",".join(map(str, asked.values))
    found = f"{runs.network.label!r} was trained at {trained} bits, and its weights would change"
    yield UsageError(f"--bits {bits}", found, f"--bits {trained}", "Add --requantise to change them anyway.")


def _plan(runs: Runs, asked: Asked) -> Plan:
    """What runs a network as ``asked``, or else by default."""
    on = next(rung for rung in runs.possible(asked.rungs) if asked.on in (None, rung))
    if asked.quantity == "time_steps" and asked.on is None and runs.network.source.kind == "graph":
        on = "quantised"
    if asked.how != "run" or asked.against == NO_REFERENCE:
        return Plan(runs, on, None)
    if asked.against is not None:
        return Plan(runs, on, next(rung for rung in REFERENCES if rung == asked.against))
    if asked.quantity == "bits":
        return Plan(runs, on, "simulator")
    return Plan(runs, on, SAME_ARITHMETIC[on] if runs.events_run else None)


def _ran(plan: Plan, asked: Asked) -> Ran:
    """The recordings of one network."""
    if asked.how == "cut":
        return _ran_once(plan, asked)
    if asked.how == "perturb":
        return _ran_perturbed(plan, asked)
    reference = None if plan.against is None else plan.runs.event_driven(plan.against)
    settings = {}
    for value in sorted(asked.values):
        _tell(plan, asked.quantity, value)
        settings[value] = (_at(plan, asked, int(value)),)
    return Ran(plan, "" if plan.against is None else f"the {plan.against}, event by event", reference, settings)


def _tell(plan: Plan, quantity: QuantityName | None, value: int | float) -> None:
    if quantity is not None:
        plan.runs.cache.messages.say(f"{plan.runs.network.label:<10} {QUANTITIES[quantity].axis}: {value:g}")


def _at(plan: Plan, asked: Asked, value: int) -> Artifact:
    """The recording at one number of time steps, or at one width of the weights."""
    if asked.quantity == "time_steps":
        return plan.runs.in_time_steps(plan.on, value)
    return plan.runs.event_driven(plan.on, plan.width(value))


def _ran_once(plan: Plan, asked: Asked) -> Ran:
    """One event-driven run that keeps every spike, of all layers or of the outputs alone."""
    from deploytool.ir.target import Watch
    from deploytool.run.jobs.job import Job

    runs, on = plan.runs, plan.on
    program = runs.program(on)
    layers = () if asked.outputs_only else None
    runs.cache.messages.say(f"{runs.network.label:<10} one run for all points")
    blocks = [
        runs.of(program, Job(on, watch=Watch(layers, rasters=count)), samples)
        for samples, count in runs.blocks(load_program(program.path).input_shape)
    ]
    return Ran(plan, "the same run on whole samples", None, blocks=tuple(blocks), program=program)


def _ran_perturbed(plan: Plan, asked: Asked) -> Ran:
    from deploytool.run.jobs.job import Job
    from deploytool.run.jobs.perturbation import perturbation_of

    assert asked.quantity is not None
    runs, on = plan.runs, plan.on
    program = runs.program(on)
    plain = runs.of(program, Job(on))
    settings: dict[int | float, tuple[Artifact, ...]] = {}
    for value in sorted(asked.values):
        _tell(plan, asked.quantity, value)
        how = perturbation_of(asked.quantity, value, asked.seed)
        draws = [replace(how, repeat=repeat) for repeat in range(asked.repeats or REPEATS)] if value else []
        settings[value] = tuple(runs.of(program, Job(on, perturbation=draw)) for draw in draws) or (plain,)
    return Ran(plan, "the unperturbed run", plain, settings)


def _judged(store: Store, data: str, ran: Sequence[Ran], asked: Asked) -> Sweep:
    """The curves of all networks."""
    curves = [curve for of in ran for curve in _curves(store, of, asked)]
    return Sweep(data, curves[0].points[0].samples, tuple(curves))


def _curves(store: Store, ran: Ran, asked: Asked) -> Iterator[Curve]:
    from deploytool.validate.curves import mean_point, point

    if ran.blocks:
        yield from _any_time(store, ran, asked)
        return
    assert asked.quantity is not None
    reference = None if ran.reference is None else load(store, ran.reference)
    points = [
        mean_point([point(value, load(store, each), reference, (each.name,)) for each in draws])
        for value, draws in ran.settings.items()
    ]
    yield _curve(ran, asked.quantity, points)


def _any_time(store: Store, ran: Ran, asked: Asked) -> Iterator[Curve]:
    """The curves of a run that ends earlier. Only one block of its samples is in memory at a time."""
    from deploytool.validate.curves import AnyTime, Cut, cut_point

    assert ran.program is not None
    known = fan_outs(load_program(ran.program.path))
    cuts: dict[tuple[QuantityName, int | float], list[Cut]] = {}
    whole, names = [], [block.name for block in ran.blocks]
    for block in ran.blocks:
        anytime = AnyTime(load(store, block), known)
        whole.append(anytime.whole)
        for quantity, value, ends_us in _ends(anytime, asked):
            cuts.setdefault((quantity, value), []).append(anytime.cut(ends_us))
    for quantity in dict.fromkeys(quantity for quantity, _ in cuts):
        points = [cut_point(value, parts, whole, names) for (of, value), parts in cuts.items() if of == quantity]
        yield _curve(ran, quantity, points)


def _ends(anytime: AnyTime, asked: Asked) -> Iterator[tuple[QuantityName, int | float, Array]]:
    """(quantity, value, the end of each sample (S,)) of all points."""
    for value in asked.values:
        if asked.quantity == "until_ms":
            yield "until_ms", value, anytime.after_ms(value)
        else:
            yield "events", value, anytime.after_events(int(value))
    for policy, thresholds in asked.exits.items():
        found = evidence(anytime.recording, policy)
        yield from ((policy, each, found.exits_us(each)) for each in thresholds)


def _curve(ran: Ran, quantity: QuantityName, points: Sequence[Point]) -> Curve:
    network, ordered = ran.plan.runs.network, tuple(sorted(points, key=lambda each: each.value))
    return Curve(network.label, network.source.name, quantity, ran.plan.on, ran.says, ordered)
