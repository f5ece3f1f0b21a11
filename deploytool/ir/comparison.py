"""What `compare` finds in two runs beyond their spike difference: answers, neurons, spike times, and the reasons.

These are pydantic dataclasses, part of the verdict's file.
"""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from deploytool.ir.divergence import TYPED, Explained, Place


@dataclass(frozen=True, config=TYPED)
class ChangedAnswer:
    """A sample that the two runs answer differently: the classes they give, -1 for no spike. ``label`` -1: unknown."""

    sample: int
    name: str
    label: int
    reference: int
    test: int


@dataclass(frozen=True, config=TYPED)
class NeuronDifference:
    """A neuron whose counts differ: its spikes over all samples in ``reference`` and ``test``.

    ``distance`` is the sum over samples of the absolute difference of its counts, which differ in ``samples`` samples.
    """

    neuron: Place
    reference: int
    test: int
    distance: int
    samples: int


@dataclass(frozen=True, config=TYPED)
class LayerMap:
    """The differences of a layer, neuron by neuron, on its map of ``shape`` (C, H, W), in row-major order.

    ``distance`` is the sum over samples of the absolute difference of the counts, ``change`` that of test minus
    reference.
    """

    layer: str
    shape: tuple[int, int, int]
    distance: tuple[int, ...]
    change: tuple[int, ...]


@dataclass(frozen=True, config=TYPED)
class LayerTiming:
    """Distances between the spike times of a layer, summed over its neurons; means per sample.

    ``spikes`` are those of both runs together. `deploytool.validate.timing` defines the distances.
    ``victor_purpura_percent`` is 100 times the distance over ``spikes``, its largest possible value; None without
    spikes.
    """

    layer: str
    spikes: float
    victor_purpura: float
    victor_purpura_percent: float | None
    van_rossum: float


@dataclass(frozen=True, config=TYPED)
class Timing:
    """Distances between spike times in ``samples``, with a cost of ``q_per_ms`` and a time constant of ``tau_ms``."""

    q_per_ms: float
    tau_ms: float
    samples: tuple[int, ...]
    layers: tuple[LayerTiming, ...]


@dataclass(frozen=True, config=TYPED)
class Details:
    """What `compare` says of two runs.

    ``networks`` says whether they ran one network. ``changed`` are the samples with another answer, ``worst`` the
    neurons of each layer with the largest distance, the largest first, and ``maps`` the differences of every layer.
    ``timing`` is None if no spike times are known, and ``no_timing`` says why. ``explained`` holds the samples that
    were explained, and ``not_explained`` says why others were not; it is empty if nothing is missing.
    """

    networks: str
    changed: tuple[ChangedAnswer, ...]
    worst: tuple[NeuronDifference, ...]
    maps: tuple[LayerMap, ...]
    timing: Timing | None
    no_timing: str
    explained: tuple[Explained, ...]
    not_explained: str
