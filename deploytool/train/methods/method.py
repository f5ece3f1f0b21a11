"""The record that describes a training method to the rest of the code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from deploytool.base.errors import RecipeError, UnsupportedError
from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.recipe.nodes import without_norms
from deploytool.train.outside import Needs
from deploytool.train.task import Task, Trained

if TYPE_CHECKING:
    from deploytool.train.loop.descent import Build, Descent

Restrictions: TypeAlias = Callable[[NetworkSection, ConstraintsSection, TrainSection], Iterable[RecipeError]]
"""Lists everything in these sections of a recipe that a method cannot do."""


@dataclass(frozen=True)
class Training:
    """How a method trains: ``build`` makes the network that it runs, ``train`` gives the weights."""

    build: Build
    train: Callable[[Task], Trained]


@dataclass(frozen=True)
class Method:
    """A training method; ``says`` describes it in one line.

    training             loads the training code, and torch with it; the other fields need no torch
    needs                what it takes from other stages
    restrictions         everything in a recipe that it cannot do
    undeployable         why no chip can run what it trains; None if a chip can
    folds_norms          whether it folds batch norms, biases included, so that the trained network has none
    several_processes    whether torchrun may start it in several processes
    kept_bytes           the least bytes per neuron, sample and time step that stay for the backward pass on a CPU
    trains_on_events     whether the forward pass of training is the emulator's, without time steps
    """

    says: str
    training: Callable[[], Training]
    needs: Callable[[TrainSection], Needs] = lambda _: Needs()
    restrictions: Restrictions = lambda *_: ()
    undeployable: Callable[[TrainSection], UnsupportedError | None] = lambda _: None
    folds_norms: bool = False
    several_processes: bool = True
    kept_bytes: float = 0.0
    trains_on_events: bool = False

    def trained_network(self, network: NetworkSection, spec: TrainSection) -> NetworkSection:
        """The network of the trained weights: ``network``, without batch norms where training removes them."""
        return without_norms(network) if self.folds_norms or spec.base is not None else network

    def require_deployable(self, spec: TrainSection) -> None:
        """Raises UnsupportedError for a network that no chip can run, only the machine that trains it."""
        if (error := self.undeployable(spec)) is not None:
            raise error


def descending(descent: Descent) -> Training:
    """A method that descends gradients through time."""
    from deploytool.train.loop.phases import train_in_phases

    return Training(descent.build, partial(train_in_phases, descent))
