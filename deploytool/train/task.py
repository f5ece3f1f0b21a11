"""One training as a value: the network, its samples and its result. Nothing here loads torch."""

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

Observe: TypeAlias = Callable[[Epoch, bool], None]
"""Called with the history entry of every complete epoch, and whether it is the best so far."""


def unobserved(_epoch: Epoch, _best: bool) -> None:
    """An Observe that does nothing."""


Resumed: TypeAlias = Callable[[Epoch], None]
"""Called with the history entry of the last epoch of a checkpoint from which training continues."""


def unnoticed(_epoch: Epoch) -> None:
    """A Resumed that does nothing."""


class Batches(Protocol):
    """Samples as event counts in time bins, batch by batch."""

    def __len__(self) -> int:
        """The number of samples."""
        ...

    def __call__(
        self, time_steps: int, batch: int, generator: torch.Generator | None
    ) -> Iterable[tuple[Tensor, Tensor]]:
        """(frames (T, B, C, H, W) float32, labels (B,) int64) of all samples, ``batch`` at a time.

        With a ``generator``, it alone determines the random order and the augmentation. Without one, the order is fixed
        and samples are unchanged.
        """
        ...


@dataclass(frozen=True, eq=False)
class Task:
    """One training: the network, its samples, and the folder of its checkpoint.

    ``folder`` holds the checkpoint; ``tick`` is called after every step, ``observe`` after every epoch, and ``resumed``
    before training continues from a checkpoint; ``outside`` holds the inputs of the method from other stages.
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
    resumed: Resumed = unnoticed

    def key(self, version: int, start: Any) -> str:
        """The key of a training that begins with ``start`` arrays, for ``version`` of its method. See `Checkpoint`."""
        sections = [section.model_dump_json() for section in (self.network, self.constraints, self.spec)]
        return digest([version, sections, self.seed, len(self.training), len(self.validation), start])


@dataclass(frozen=True, eq=False)
class Trained:
    """Latent float32 ``weights`` of the epoch with the best validation, and the ``history`` of all epochs."""

    weights: Mapping[str, Array]
    history: tuple[Epoch, ...]
    chosen_epoch: int
