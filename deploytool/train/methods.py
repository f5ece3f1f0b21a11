"""The training methods: how many time steps each layer gets, drawn anew for every mini-batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import torch

from deploytool.recipe import TrainSection
from deploytool.train import mtt, sdt

Draw: TypeAlias = Callable[[TrainSection, int, torch.Generator], list[tuple[int, ...]]]
"""(spec, number of layers, generator) -> configurations: time steps per layer. Their gradients are added."""

METHODS: Final[Mapping[str, Draw]] = MappingProxyType({
    "sdt": sdt.draw, "nmt": mtt.draw_nmt, "mtt": mtt.draw_mtt,
})  # fmt: skip
