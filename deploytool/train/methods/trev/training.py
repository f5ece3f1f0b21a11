"""How trev trains: by gradients, through a network whose time steps are undone in the backward pass."""

from __future__ import annotations

from typing import Final

from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.train.loop.descent import Descent
from deploytool.train.methods.method import descending
from deploytool.train.methods.trev.network import TrevNetwork
from deploytool.train.methods.trev.reversible import ReversibleNetwork
from deploytool.train.network.spiking import SpikingNetwork


def build(network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection) -> SpikingNetwork:
    """A T-RevSNN if ``spec`` turns neurons on, else integrate-and-fire neurons. Raises RecipeError as both do."""
    kind = TrevNetwork if spec.trev.on else ReversibleNetwork
    return kind(network, constraints, spec)


TREV: Final = descending(Descent(build))
