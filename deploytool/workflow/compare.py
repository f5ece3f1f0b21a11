"""The verb compare: two recordings of the same samples, and why they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from deploytool.base.arrays import Shape
from deploytool.base.errors import UsageError
from deploytool.ir.comparison import Details
from deploytool.ir.recording import Recording
from deploytool.ir.verdict import Verdict
from deploytool.ir.verdict_file import save_verdict
from deploytool.store.artifact import Artifact, Request
from deploytool.store.cache import StageCache
from deploytool.validate.comparison import SpikePair, TimeScale
from deploytool.workflow.import_recording import recordings_named
from deploytool.workflow.sources.recordings import load
from deploytool.workflow.stored.replay import WHERE_THEY_WERE, DataPlace, Replayable, ReplayError, replayable

if TYPE_CHECKING:
    from deploytool.ir.divergence import Explained
    from deploytool.ir.traffic import Traffic

Again: TypeAlias = tuple[Replayable, Replayable]

SAMPLES: Final = 3
"""Samples that are explained unless another number is asked for."""
NO_TIMES: Final = "no spike times of the same samples: use --explain, or record both with run --rasters"


@dataclass(frozen=True)
class Asked:
    """What is asked beyond counts.

    ``explain``: the reasons, for a ``number`` of samples, those that differ most, or for the ``samples`` named by name
    or number. ``place`` says where the samples are, and ``scale`` is that of the distances between spike times.
    """

    explain: bool = False
    number: int = SAMPLES
    samples: tuple[str, ...] = ()
    place: DataPlace = WHERE_THEY_WERE
    scale: TimeScale = field(default_factory=TimeScale)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two recordings (reference, test), the ``names`` of the runs, and the ``layers`` that both have."""

    recordings: tuple[Recording, Recording]
    names: tuple[str, str]
    layers: tuple[str, ...]


def compare(cache: StageCache, reference: str, test: str, asked: Asked) -> Artifact:
    """The comparison of two recordings of the same samples, as a verdict without checks.

    Samples are explained by running them again; if that is not possible, the comparison says why.
    Raises InputError for recordings of other samples, and UsageError for two that are one.
    """
    one, other = recordings_named(cache, reference, test)
    if one.digest == other.digest:
        raise UsageError("compare", f"both are {one.name}", "two recordings")
    recordings = {artifact.name: load(cache.store, artifact) for artifact in (one, other)}
    pair = _pair(recordings)
    chosen = _chosen(pair, asked)
    again, problem = _replayables(cache, (one, other), recordings, asked) if asked.explain else (None, "")
    request: dict[str, Any] = {"scale": asdict(asked.scale)}
    if asked.explain:
        request |= {"explained": chosen, "not_explained": problem}

    def compute() -> Verdict:
        from deploytool.validate import ladder

        return ladder.compare(recordings, one.name, other.name, _details(cache, pair, asked, chosen, again, problem))

    inputs = {"reference": one.digest, "test": other.digest}
    return cache.stored(Request("verdict", inputs, {"compare": request}), compute, save_verdict)


def _pair(recordings: Mapping[str, Recording]) -> Pair:
    from deploytool.validate.comparison import shared_layers
    from deploytool.validate.metrics import check_same_samples
    from deploytool.validate.names import named

    reference, test = recordings.values()
    check_same_samples(reference, test)
    names = {key: name for name, key in named(recordings).items()}
    first, second = (names[key] for key in recordings)
    return Pair((reference, test), (first, second), shared_layers(reference, test))


def _chosen(pair: Pair, asked: Asked) -> list[int]:
    """The samples to explain. Raises UsageError for one that is not in the recordings."""
    from deploytool.validate.comparison import differing_samples

    recording = pair.recordings[0]
    if not asked.samples:
        return differing_samples(*pair.recordings, pair.layers)[: asked.number]
    found = []
    for sample in asked.samples:
        if sample in recording.samples:
            found.append(recording.samples.index(sample))
        elif sample.isdecimal() and int(sample) < len(recording):
            found.append(int(sample))
        else:
            need = f"a name, or a number from 0 to {len(recording) - 1}"
            raise UsageError(f"--sample {sample}", "not a sample of the recordings", need)
    return list(dict.fromkeys(found))


def _replayables(
    cache: StageCache, artifacts: Sequence[Artifact], recordings: Mapping[str, Recording], asked: Asked
) -> tuple[Again | None, str]:
    """Both recordings ready to be run again; or None and why not."""
    try:
        one, other = (replayable(cache.store, each, recordings[each.name], asked.place) for each in artifacts)
    except ReplayError as problem:
        return None, str(problem)
    return (one, other), ""


def _details(
    cache: StageCache, pair: Pair, asked: Asked, chosen: Sequence[int], again: Again | None, problem: str
) -> Details:
    """What the counts, the spike times, and the samples run again say."""
    from deploytool.validate import comparison

    reference, test = pair.recordings
    followed = _followed(cache, pair, chosen, again) if again is not None else Followed((), {}, problem)
    spikes = followed.spikes
    if not spikes:
        spikes = comparison.kept_spikes(reference, test)
    timed = [name for name in pair.layers if all(name in each for both in spikes.values() for each in both)]
    shapes = {name: reference.counts[name].shape[1:] for name in timed}
    explained = followed.explained or (_observed(reference, chosen, spikes, shapes) if asked.explain else ())
    return Details(
        networks=comparison.networks(reference, test),
        changed=comparison.changed_answers(reference, test),
        worst=comparison.worst_neurons(reference, test, pair.layers),
        maps=tuple(comparison.difference_map(reference, test, layer) for layer in pair.layers),
        timing=comparison.timing(spikes, shapes, asked.scale) if spikes and shapes else None,
        no_timing="" if spikes and shapes else NO_TIMES,
        explained=explained,
        not_explained=followed.problem,
    )


@dataclass(frozen=True, eq=False)
class Followed:
    """Samples that were run again: the reasons, the spikes {sample: those of both runs}, and what stopped it, or ""."""

    explained: tuple[Explained, ...]
    spikes: Mapping[int, SpikePair]
    problem: str


def _followed(cache: StageCache, pair: Pair, chosen: Sequence[int], again: Again) -> Followed:
    explained: list[Explained] = []
    spikes: dict[int, SpikePair] = {}
    with cache.messages.progress("explain", "sample") as tick:
        for number, index in enumerate(chosen, start=1):
            try:
                traffic = again[0].follow(index), again[1].follow(index)
            except ReplayError as error:
                return Followed(tuple(explained), spikes, str(error))
            explained.append(_explained(pair, traffic, index))
            spikes[index] = traffic[0].spikes, traffic[1].spikes
            tick(number, len(chosen), "")
    return Followed(tuple(explained), spikes, "")


def explanations(
    cache: StageCache, reference: Artifact, test: Artifact, number: int, place: DataPlace = WHERE_THEY_WERE
) -> tuple[tuple[Explained, ...], str]:
    """Why two recordings differ, in the ``number`` samples that differ most; and what stopped it, or "".

    Nothing is stored. Raises as `compare`.
    """
    asked = Asked(explain=True, number=number, place=place)
    recordings = {artifact.name: load(cache.store, artifact) for artifact in (reference, test)}
    pair = _pair(recordings)
    again, problem = _replayables(cache, (reference, test), recordings, asked)
    if again is None:
        return (), problem
    found = _followed(cache, pair, _chosen(pair, asked), again)
    return found.explained, found.problem


def _observed(
    reference: Recording, chosen: Sequence[int], spikes: Mapping[int, SpikePair], shapes: Mapping[str, Shape]
) -> tuple[Explained, ...]:
    """Where the runs part by their kept ``spikes``, in those of the ``chosen`` samples that have them."""
    from deploytool.validate.divergence.observed import observe

    kept = [index for index in chosen if index in spikes] if shapes else []
    return tuple(observe(reference.samples[index], index, spikes[index], shapes) for index in kept)


def _explained(pair: Pair, traffic: tuple[Traffic, Traffic], index: int) -> Explained:
    from deploytool.run.reference.neuron import replay, replay_steps
    from deploytool.validate.divergence.causes import Run
    from deploytool.validate.divergence.explain import explain
    from deploytool.validate.divergence.history import Replay

    one, other = Run(pair.names[0], traffic[0], "reference"), Run(pair.names[1], traffic[1], "test")
    return explain((one, other), index, Replay(replay, replay_steps))
