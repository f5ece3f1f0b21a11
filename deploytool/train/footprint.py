"""The least memory that training takes, from a recipe alone: what is refused before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from deploytool.base.errors import RecipeError
from deploytool.base.memory import require_memory
from deploytool.recipe import DataSection, NetworkSection, SpikeLayer, TrainSection
from deploytool.recipe.nodes import blank_nodes, weight_count
from deploytool.train.methods.table import method_of

FLOAT: Final = 4
"""Bytes of a number in float32."""

COPIES: Final = 2
"""Arrays as large as the weights: the weights and their gradients. Optimizers hold more."""

ENTRY: Final = 1000
"""Bytes of an epoch in the history."""


def too_large(
    network: NetworkSection, train: TrainSection, data: DataSection, samples: int | None = None
) -> Iterator[RecipeError]:
    """What of a training takes more memory than is allowed, for ``samples`` in the set, one if None.

    These are lower bounds: training takes more.
    """
    batch = min(train.batch, samples or 1)
    part = math.ceil(batch / train.accumulate)
    steps = f"{train.longest:,} time steps"
    of_batch = f"a batch of {batch:,} samples" if batch > 1 else "one sample"
    for where, what, needed, todo in (
        (
            "network.layers",
            "the weights and their gradients",
            COPIES * FLOAT * weight_count(network),
            "Use fewer features",
        ),
        ("train.epochs", "the history", ENTRY * train.epochs, "Use fewer epochs"),
        ("train.time_steps", f"{of_batch} in {steps}", _frames(network, train, data) * batch, _LESS),
        (
            "train.time_steps",
            f"the backward pass over {steps}",
            _kept(network, train) * part,
            f"{_LESS}, or accumulate",
        ),
    ):
        try:
            require_memory(where, what, needed, todo, RecipeError)
        except RecipeError as error:
            yield error


_LESS: Final = "Use fewer time steps or a smaller train.batch"


def _frames(network: NetworkSection, train: TrainSection, data: DataSection) -> int:
    """Bytes of a sample's events in time steps; pictures are the same in all of them."""
    if method_of(train).trains_on_events or data.coding == "direct":
        return 0
    return FLOAT * train.longest * math.prod(network.input)


def _kept(network: NetworkSection, train: TrainSection) -> int:
    """Bytes that the backward pass needs of a sample on the CPU."""
    if train.device != "cpu":
        return 0
    _, shapes = blank_nodes(network)
    neurons = sum(math.prod(shapes[name]) for name, layer in network.named_layers() if isinstance(layer, SpikeLayer))
    return int(method_of(train).kept_bytes * train.longest * neurons)
