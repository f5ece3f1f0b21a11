"""One training as a value: the network, its samples and its result. Nothing here loads torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.base.digest import digest
from deploytool.base.progress import Tick, no_progress
from deploytool.ir.decoder import Decoder, Reads
from deploytool.ir.score import SCORES
from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.train.outside import NOTHING, Outside

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Epoch: TypeAlias = Mapping[str, float]
"""epoch (from 1), learning_rate of its last step, step_epochs, loss, accuracy (%), r2 and rmse, or si_sdr (dB), synops
per sample; validation_loss and so on; rate/conv1 and so on: spikes per neuron and validation sample."""


def held_out(epoch: Epoch) -> tuple[str, float]:
    """(name, value) of the validation score of ``epoch``, of which more is better. Raises ValueError without one."""
    for name in SCORES:
        if (score := epoch.get(f"validation_{name}")) is not None:
            return name, score
    raise ValueError(f"epoch {epoch['epoch']:g} has no validation score")


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
        """(frames (T, B, C, H, W) float32, labels (B,) int64 or targets (B, W, D) float32) of all samples, ``batch`` at
        a time; of voices (mixtures (1, B, 1, 1, N), sources (B, K, N)).

        With a ``generator``, it alone determines the random order and the augmentation. Without one, the order is fixed
        and samples are unchanged.
        """
        ...


@dataclass(frozen=True, eq=False)
class Values:
    """The values that a network learns to give: their names, unit, and the ``windows`` of a sample, of ``window_us``.

    ``mean`` and ``spread`` (D,) are those of the training targets, by which training normalises them.
    """

    names: tuple[str, ...]
    unit: str
    reads: Reads
    windows: int
    window_us: int | None
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]


@dataclass(frozen=True)
class Masks:
    """Masks that a network learns: ``filters`` of ``length`` samples encode mixtures of voices, ``says`` which, perhaps
    ``synthetic`` ones."""

    filters: int
    length: int
    says: str
    synthetic: bool = False


@dataclass(frozen=True, eq=False)
class Task:
    """One training: the network, its samples, and the folder of its checkpoint.

    ``folder`` holds the checkpoint; ``tick`` is called after every step, ``observe`` after every epoch, and ``resumed``
    before training continues from a checkpoint; ``outside`` holds the inputs of the method from other stages.
    ``values`` are learnt, with a decoder, or ``masks`` of voices; both are None if the network learns classes.
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
    values: Values | None = None
    masks: Masks | None = None

    def key(self, version: int, start: Any) -> str:
        """The key of a training that begins with ``start`` arrays, for ``version`` of its method. See `Checkpoint`."""
        sections = [section.model_dump_json() for section in (self.network, self.constraints, self.spec)]
        values = [learnt for learnt in (self.values, self.masks) if learnt is not None]
        return digest([version, sections, self.seed, len(self.training), len(self.validation), start, *values])


@dataclass(frozen=True, eq=False)
class Trained:
    """Latent float32 ``weights`` of the epoch with the best validation, and the ``history`` of all epochs.

    ``decoder`` reads the values that were learnt, None if they are classes. ``others`` {what: weights} are networks on
    the way to it, to compare it with.
    """

    weights: Mapping[str, Array]
    history: tuple[Epoch, ...]
    chosen_epoch: int
    decoder: Decoder | None = None
    others: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
