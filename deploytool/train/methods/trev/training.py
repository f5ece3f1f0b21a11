"""How trev trains: by gradients, through a network whose time steps are undone in the backward pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from deploytool.base.arrays import frozen
from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.train.loop.descent import Descent
from deploytool.train.loop.evaluate import as_tensors
from deploytool.train.methods.method import Training, descending
from deploytool.train.methods.trev.arrays import merged
from deploytool.train.methods.trev.network import TrevNetwork
from deploytool.train.methods.trev.reversible import ReversibleNetwork
from deploytool.train.network.blocks import blocks_of
from deploytool.train.network.spiking import SpikingNetwork
from deploytool.train.task import Task, Trained


def build(network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection) -> SpikingNetwork:
    """A T-RevSNN if ``spec`` turns neurons on, else integrate-and-fire neurons. Raises RecipeError as both do."""
    kind = TrevNetwork if spec.trev.on else ReversibleNetwork
    return kind(network, constraints, spec)


_DESCENDING: Final = descending(Descent(build))


def train(task: Task) -> Trained:
    """The trained weights; those of a T-RevSNN are `merged`."""
    trained = _DESCENDING.train(task)
    if not task.spec.trev.on:
        return trained
    simple = merged(as_tensors(trained.weights), blocks_of(task.network), task.spec.trev.own)
    return replace(trained, weights={name: frozen(tensor.numpy(force=True)) for name, tensor in simple.items()})


TREV: Final = Training(build, train)
