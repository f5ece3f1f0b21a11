"""The network that a recipe trains and evaluates."""

from __future__ import annotations

from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.train.methods.trev.network import TrevNetwork
from deploytool.train.methods.trev.reversible import ReversibleNetwork
from deploytool.train.network.spiking import SpikingNetwork


def build(network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection) -> SpikingNetwork:
    """The network as ``spec.method`` runs it. Raises RecipeError when it is not possible."""
    if spec.method != "trev":
        return SpikingNetwork(network, constraints, spec)
    kind = TrevNetwork if spec.trev.on else ReversibleNetwork
    return kind(network, constraints, spec)
