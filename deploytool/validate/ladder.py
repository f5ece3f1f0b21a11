"""The ladder from the trained network to silicon: its runs, the differences between them, and the verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from deploytool.base.errors import InputError, UsageError
from deploytool.base.numbers import DECIMALS, rounded
from deploytool.ir.comparison import Details
from deploytool.ir.recording import RUNGS, Recording, Setup
from deploytool.ir.verdict import Difference, LayerDifference, Rung, SpikeDifference, Verdict
from deploytool.recipe import ValidateSection
from deploytool.validate import metrics
from deploytool.validate.activity import decision, layer_figures
from deploytool.validate.checks import checks
from deploytool.validate.comparison import shared_layers
from deploytool.validate.energy import energy
from deploytool.validate.load import core_loads, load_sentence
from deploytool.validate.names import ARITHMETIC, STEPS, named
from deploytool.validate.regression import regression, value_difference
from deploytool.validate.speech import separation

COMPARISONS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("board", "emulator"): "differences between silicon and its emulator",
        ("board", "simulator"): "silicon and integers combined",
        ("board", "quantised"): "silicon, and events instead of time steps",
        ("board", "torch"): "everything between the trained network and silicon",
        ("emulator", "simulator"): "the chip's integers instead of float32, both event by event",
        ("emulator", "quantised"): "events instead of time steps, in the same integers",
        ("emulator", "torch"): "everything between the trained network and the emulator",
        ("simulator", "torch"): "events instead of time steps, both in float32",
        ("quantised", "torch"): "the chip's integers instead of float32, both in time steps",
    }
)
"""(reference, test): the cause of the difference. The rung nearer to silicon is the reference."""


def judge(recordings: Mapping[str, Recording], asked: ValidateSection, against: str | None = None) -> Verdict:
    """The verdict on ``recordings`` {name: recording}: their differences, and whether they meet ``asked``.

    `deploytool.validate.names.named` says which of them are rungs, and how the others are called. The pairs of
    COMPARISONS are compared, and every variant with its rung. With ``against``, one of the names, all others are
    compared with that one, and a limit applies to every run or pair.
    Raises InputError when networks, samples or shapes differ, UsageError when there is nothing to compare.
    """
    if not recordings:
        raise InputError("validate", "no recording", "at least one")
    if against is not None and len(recordings) == 1:
        raise UsageError(f"--against {against}", "it is the only recording", "another one to compare with it")
    check_comparable(recordings)
    names = named(recordings)
    runs = {name: _run(name, key, recordings[key]) for name, key in names.items()}
    by_name = {name: recordings[key] for name, key in names.items()}
    reference = next((name for name, key in names.items() if key == against), None)
    differences = _differences(by_name, _pairs(runs, reference))
    missing = [Rung.not_run(rung) for rung in RUNGS if rung not in runs]
    ladder = sorted([*runs.values(), *missing], key=lambda run: len(RUNGS) if run.is_variant else RUNGS.index(run.rung))
    return Verdict(tuple(ladder), differences, checks(runs, differences, asked, every=reference is not None))


def compare(recordings: Mapping[str, Recording], reference: str, test: str, details: Details) -> Verdict:
    """The two runs, of whatever networks, and their difference with its ``details``; nothing is required of them.

    ``recordings`` {name: recording} holds the ``reference`` and the ``test``. Layers are paired by name and shape.
    Raises InputError when samples or the shapes of the outputs differ.
    """
    names = {key: name for name, key in named(recordings).items()}
    by_name = {names[key]: recordings[key] for key in (reference, test)}
    shared = shared_layers(recordings[reference], recordings[test])
    difference = _difference(by_name, names[reference], names[test], shared)
    runs = tuple(_run(names[key], key, recordings[key]) for key in (reference, test))
    return Verdict(runs, (dataclasses.replace(difference, details=details),), ())


def check_comparable(recordings: Mapping[str, Recording]) -> None:
    """Raises InputError unless ``recordings`` {name: recording} are of one network, if known, and the same samples."""
    first = next(iter(recordings))
    known = {name: found.setup.network for name, found in recordings.items() if found.setup.network}
    stated = next(iter(known), first)
    for name, found in recordings.items():
        if name in known and known[name] != known[stated]:
            raise InputError(
                f"{stated} and {name}",
                f"they ran different networks ({known[stated][:12]} and {known[name][:12]})",
                "recordings of one network",
                f"Run deploytool compare {stated} {name} to compare them.",
            )
        if differ := metrics.different_samples(recordings[first], found):
            need = "recordings of the same samples"
            raise InputError(f"{name} against {first}", differ, need, "Run both on the same data.")


def _pairs(runs: Mapping[str, Rung], reference: str | None) -> list[tuple[str, str]]:
    """The (reference, test) to compare: everything with ``reference``, or the pairs of the ladder and its variants."""
    if reference is not None:
        return [(reference, name) for name in runs if name != reference]
    pairs = [pair for pair in COMPARISONS if set(pair) <= runs.keys()]
    nearest = next((rung for rung in reversed(RUNGS) if rung in runs), next(iter(runs)))
    for name, run in runs.items():
        usual = run.rung if run.rung in runs else nearest
        if name not in (run.rung, usual):
            pairs.append((usual, name))
    return pairs


def _run(name: str, key: str, recording: Recording) -> Rung:
    """The run called ``name``, and the figures of its ``recording``, which is stored as ``key``."""
    right, labelled = metrics.right(recording), metrics.labelled(recording)
    interval = metrics.confidence_interval(right, labelled)
    setup = recording.setup
    estimated, loads = energy(recording), core_loads(recording)
    confused = metrics.confusion(recording) if labelled else None
    return Rung(
        name=name,
        rung=recording.rung,
        status="run",
        recording=key,
        arithmetic=setup.arithmetic,
        weight_bits=setup.weight_bits,
        time_steps=setup.time_steps,
        bins=setup.bins if setup.time_steps is not None else None,
        perturbation=setup.perturbation or None,
        samples=len(recording),
        accuracy=rounded(metrics.accuracy(recording)),
        interval_95=interval and (round(interval[0], DECIMALS), round(interval[1], DECIMALS)),
        right=right,
        labelled=labelled,
        silent=metrics.silent(recording),
        synops=rounded(metrics.synops_per_sample(recording)),
        spikes={layer: round(mean, DECIMALS) for layer, mean in metrics.spikes_per_sample(recording).items()},
        confusion=None if confused is None else tuple(map(tuple, confused.tolist())),
        layers=layer_figures(recording),
        decision=None if recording.reads_values or recording.speech else decision(recording),
        energy=estimated.says,
        energy_uj=estimated.uj_per_sample,
        power_mw=estimated.mw,
        load=loads,
        busiest_core=load_sentence(loads),
        regression=regression(recording),
        separation=separation(recording),
    )


def _differences(runs: Mapping[str, Recording], pairs: Sequence[tuple[str, str]]) -> tuple[Difference, ...]:
    """One difference per pair (reference, test); raises one error for all pairs that cannot be compared."""
    differences, problems = [], []
    for reference, test in pairs:
        try:
            differences.append(_difference(runs, reference, test))
        except InputError as error:
            problems.append(error)
    if problems:
        raise InputError.together(problems)
    return tuple(differences)


def _difference(
    runs: Mapping[str, Recording], reference: str, test: str, layers: Sequence[str] | None = None
) -> Difference:
    """The difference of two ``runs`` in ``layers``, by default all that both have."""
    wanted, found = runs[reference], runs[test]
    shared = [layer for layer in wanted.counts if layer in found.counts] if layers is None else layers
    by_layer = {layer: _rounded(metrics.spike_difference(wanted, found, layer)) for layer in shared}
    return Difference(
        reference=reference,
        test=test,
        says=_cause((reference, wanted), (test, found)),
        agreement=rounded(metrics.agreement(wanted, found)),
        output=_rounded(metrics.spike_difference(wanted, found)),
        layers=tuple(LayerDifference(layer=layer, **vars(difference)) for layer, difference in by_layer.items()),
        not_compared=tuple(sorted((wanted.counts.keys() | found.counts.keys()) - set(shared))),
        values=value_difference(wanted, found),
    )


def _cause(reference: tuple[str, Recording], test: tuple[str, Recording]) -> str:
    """Why the runs (name, recording) ``reference`` and ``test`` may differ."""
    rungs = reference[1].rung, test[1].rung
    between = COMPARISONS.get(rungs) or COMPARISONS.get((rungs[1], rungs[0]))
    if not all(run.setup.arithmetic in (None, ARITHMETIC[run.rung]) for _, run in (reference, test)):
        between = None
    special, usual = (name.removeprefix(run.rung).removeprefix(", ") for name, run in (test, reference))
    if usual:
        special = f"{special} against {usual}" if special else f"{usual}, in the reference"
    elif not special:
        special = ", ".join(_settings_apart(reference[1].setup, test[1].setup))
    return "; ".join(filter(None, (between, special)))


def _settings_apart(reference: Setup, test: Setup) -> Iterator[str]:
    """What differs between the settings of two runs that have the names of their rungs."""
    steps, bits = (test.time_steps, reference.time_steps), (test.weight_bits, reference.weight_bits)
    if None not in steps and steps[0] != steps[1]:
        yield f"T = {steps[0]} against T = {steps[1]}"
    if None not in steps and test.bins != reference.bins:
        yield f"{STEPS[test.bins]} against {STEPS[reference.bins]}"
    if None not in bits and bits[0] != bits[1]:
        yield f"{bits[0]} bits against {bits[1]} bits"


def _rounded(difference: SpikeDifference) -> SpikeDifference:
    return dataclasses.replace(
        difference,
        pooled=rounded(difference.pooled),
        mean=rounded(difference.mean),
        exact_counts=rounded(difference.exact_counts),
    )
