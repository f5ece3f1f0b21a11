"""The training methods by name, each from a recipe's sections and samples to trained weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from deploytool.progress import Tick, no_progress
from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.train import mtt, sdt
from deploytool.train.evaluate import Batches
from deploytool.train.loop import Trained, descend


class Method(Protocol):
    """How weights are found; see `train`."""

    def __call__(
        self, network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection, training: Batches,
        validation: Batches, seed: int, checkpoint: Path, tick: Tick,
    ) -> Trained: ...  # fmt: skip


METHODS: Final[Mapping[str, Method]] = MappingProxyType({
    "sdt": partial(descend, sdt.draw), "nmt": partial(descend, mtt.draw_nmt), "mtt": partial(descend, mtt.draw_mtt),
})  # fmt: skip


def train(
    network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection, training: Batches,
    validation: Batches, seed: int, checkpoint: Path, tick: Tick = no_progress,
) -> Trained:  # fmt: skip
    """The trained weights, by ``spec.method``, chosen on ``validation``.

    After every epoch the folder ``checkpoint`` holds what is needed to go on. Training that finds its own checkpoint
    there goes on from it and ends with bit-identical weights (at the same number of threads); one of another recipe
    or seed is overwritten. Whatever stops training, ``tick`` included, leaves the last one in place.
    Raises RecipeError when the network is not possible or training diverges, ArtifactError for a checkpoint that is
    damaged or cannot be written.
    """
    return METHODS[spec.method](network, constraints, spec, training, validation, seed, checkpoint, tick)
