"""Inputs of a training from other stages, which it does not import: a network with ReLUs, spikes from the emulator.

A method says what it needs (`Needs`), and the caller of a training supplies it (`Outside`). Nothing here loads torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from deploytool.base.arrays import Array
from deploytool.ir.events import EventStream
from deploytool.ir.recording import Recording

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Needs:
    """What a training needs: the network with ReLUs called ``ann``, a file or ``package.module:function``; spikes that
    the chip's ``emulator`` counts; the count of a white pixel where samples are ``pictures``."""

    ann: str | None = None
    emulator: bool = False
    pictures: bool = False


class Streams(Protocol):
    """Samples as events, batch by batch."""

    def __call__(self, batch: int, generator: torch.Generator | None) -> Iterable[list[EventStream]]:
        """All samples: with a ``generator`` in random order and augmented, otherwise in fixed order and unchanged."""
        ...


Counts: TypeAlias = Callable[[Mapping[str, Array], int, Sequence[EventStream]], Mapping[str, Array]]
"""(a model's weights, its number of layers with weights, streams) -> {layer: spikes of its neurons (B, C, H, W)}."""


Recorded: TypeAlias = Callable[[Mapping[str, Array], Sequence[EventStream], bool], Recording]
"""(a model's weights, streams, whether single spikes are kept) -> the recording of the whole network on them."""


@dataclass(frozen=True, eq=False)
class Emulated:
    """Samples as events; ``counts`` gives the spikes of a network on them, without time steps, and ``recorded``
    everything that the emulator measures."""

    training: Streams
    validation: Streams
    counts: Counts
    recorded: Recorded | None = None


@dataclass(frozen=True, eq=False)
class Outside:
    """The supplied inputs: the arrays of a trained ``ann``, {"conv1": weights, "conv1.bias": (O,)}, and ``emulated``.

    ``white`` is the count of a white pixel, all time steps together, where samples are pictures.
    """

    ann: Mapping[str, Array] | None = None
    emulated: Emulated | None = None
    white: int | None = None


NOTHING: Final = Outside()
