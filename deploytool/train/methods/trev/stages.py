"""The stages of a T-RevSNN: its layers, cut after every turn-on spike layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploytool.base.arrays import Shape
from deploytool.recipe import BatchNormLayer, SpikeLayer
from deploytool.recipe.network import INPUT
from deploytool.train.network.blocks import Block


@dataclass(frozen=True)
class Stage:
    """``entry`` (D_l), ``rest`` (F_l) and the turn-on neurons ``on``, spike layer of that name.

    ``entry``, which may be empty, ends with the first layer with weights and its batch norm, and begins with pooling
    and flattening before them. It takes ``source``: the turn-on neurons of the stage before, or the encoded input, of
    ``in_shape``.
    """

    on: str
    source: str
    in_shape: Shape
    entry: tuple[Block, ...]
    rest: tuple[Block, ...]

    @property
    def last(self) -> Block:
        """The layer whose output the potential of this stage integrates."""
        return (*self.entry, *self.rest)[-1]

    @property
    def entered(self) -> str:
        """The layer, or ``source``, to whose output the spikes of deeper stages are added."""
        return self.entry[-1].name if self.entry else self.source

    @property
    def entry_shape(self) -> Shape:
        """The shape (C, H, W) of what the spikes of deeper stages are added to."""
        return self.entry[-1].out_shape if self.entry else self.in_shape


@dataclass(frozen=True)
class Parts:
    """The ``stem`` that encodes the input, the ``stages``, and the ``head`` that answers."""

    stem: tuple[Block, ...]
    stages: tuple[Stage, ...]
    head: tuple[Block, ...]


def parts_of(blocks: Sequence[Block], on: Sequence[str], stem: str | None) -> Parts:
    """``blocks``, cut after the layer called ``stem``, and after every turn-on spike layer in ``on``."""
    first: list[Block] = []
    stages: list[Stage] = []
    waiting: list[Block] = []
    source, shape = INPUT, blocks[0].in_shape
    for block in blocks:
        if block.name == stem:
            first, waiting = [*waiting, block], []
        elif block.name in on:
            entered = _entered(waiting)
            stages.append(Stage(block.name, source, shape, tuple(waiting[:entered]), tuple(waiting[entered:])))
            waiting = []
        else:
            waiting.append(block)
            continue
        source, shape = block.name, block.out_shape
    return Parts(tuple(first), tuple(stages), tuple(waiting))


def _entered(blocks: Sequence[Block]) -> int:
    """How many of ``blocks`` of a stage are its entry: up to the first weights, unless neurons come before them."""
    for number, block in enumerate(blocks):
        if isinstance(block.layer, SpikeLayer):
            return 0
        if block.weight_shape:
            followed = number + 1 < len(blocks) and isinstance(blocks[number + 1].layer, BatchNormLayer)
            return number + 1 + followed
    return 0
