"""The training methods by name, each from a recipe's sections and samples to trained weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from deploytool.base.progress import Tick, no_progress
from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.train import processes
from deploytool.train.device import device_of
from deploytool.train.loop.descent import Observe, Trained, unobserved
from deploytool.train.loop.evaluate import Batches
from deploytool.train.loop.phases import train_in_phases
from deploytool.train.methods import mtt, sdt
from deploytool.train.methods.ptl import training as ptl


class Method(Protocol):
    """How weights are found; see `train`."""

    def __call__(
        self,
        network: NetworkSection,
        constraints: ConstraintsSection,
        spec: TrainSection,
        training: Batches,
        validation: Batches,
        seed: int,
        checkpoint: Path,
        tick: Tick,
        *,
        observe: Observe,
    ) -> Trained: ...


METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        "sdt": partial(train_in_phases, sdt.draw),
        "nmt": partial(train_in_phases, mtt.draw_nmt),
        "mtt": partial(train_in_phases, mtt.draw_mtt),
        "tit": partial(train_in_phases, sdt.draw),
        "trev": partial(train_in_phases, sdt.draw),
        "ptl": ptl.train,
    }
)


def train(
    network: NetworkSection,
    constraints: ConstraintsSection,
    spec: TrainSection,
    training: Batches,
    validation: Batches,
    seed: int,
    checkpoint: Path,
    tick: Tick = no_progress,
    observe: Observe = unobserved,
) -> Trained:
    """The trained weights, by ``spec.method``, chosen on ``validation``.

    After every epoch the folder ``checkpoint`` holds what is needed to go on. Training that finds its own checkpoint
    there goes on from it and ends with bit-identical weights (at the same number of threads); one of another recipe
    or seed is overwritten. Whatever stops training, ``tick`` included, leaves the last one in place.
    ``observe`` is told of every epoch. Processes that torchrun started train together, and only the first writes.
    Raises RecipeError when the network is not possible or training diverges, ArtifactError for a checkpoint that is
    damaged or cannot be written.
    """
    with processes.together(device_of(spec)):
        return METHODS[spec.method](
            network, constraints, spec, training, validation, seed, checkpoint, tick, observe=observe
        )
