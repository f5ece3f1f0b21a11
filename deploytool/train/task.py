"""One training as a value: what is trained on what, and what comes out. Nothing here loads torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from deploytool.base.arrays import Array
from deploytool.base.digest import digest
from deploytool.base.progress import Tick, no_progress
from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.train.outside import NOTHING, Outside

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Epoch: TypeAlias = Mapping[str, float]
"""epoch (from 1), learning_rate, step_epochs, loss, accuracy (%), synops per sample; validation_loss and so on;
rate/conv1 and so on: spikes per neuron and validation sample."""

Observe: TypeAlias = Callable[[Epoch], None]
"""Called with every epoch when it is complete."""


def unobserved(_epoch: Epoch) -> None:
    """An Observe that does nothing."""


class Batches(Protocol):
    """Samples as event counts in time bins, batch by batch."""

    def __len__(self) -> int:
        """The number of samples."""
        ...

    def __call__(
        self, time_steps: int, batch: int, generator: torch.Generator | None
    ) -> Iterable[tuple[Tensor, Tensor]]:
        """(frames (T, B, C, H, W) float32, labels (B,) int64) of all samples, ``batch`` at a time.

        With a ``generator``, which alone decides, the order is random and samples are augmented; without, the order
        is fixed and samples are as they are.
        """
        ...


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be trained, on what, and where it is kept until it is done.

    ``folder`` holds the checkpoint; ``tick`` hears of every step and ``observe`` of every epoch; ``outside`` is what
    the method takes from other stages.
    """

    network: NetworkSection
    constraints: ConstraintsSection
    spec: TrainSection
    seed: int
    training: Batches
    validation: Batches
    folder: Path
    tick: Tick = no_progress
    observe: Observe = unobserved
    outside: Outside = NOTHING

    def key(self, version: int, start: Any) -> str:
        """Names the training that begins with the arrays ``start``, by ``version`` of its method: see `Checkpoint`."""
        sections = [section.model_dump_json() for section in (self.network, self.constraints, self.spec)]
        return digest([version, sections, self.seed, len(self.training), len(self.validation), start])


@dataclass(frozen=True, eq=False)
class Trained:
    """Latent float32 ``weights`` of the epoch with the best validation, and the ``history`` of all epochs."""

    weights: Mapping[str, Array]
    history: tuple[Epoch, ...]
    chosen_epoch: int
