"""The loop over epochs of all methods. It saves a checkpoint after each epoch, from which the next run resumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from deploytool.base.errors import RecipeError
from deploytool.train import processes
from deploytool.train.device import keep_freed_memory, reproducible
from deploytool.train.loop.checkpoint import Checkpoint, load_checkpoint, restore_checkpoint, save_checkpoint
from deploytool.train.task import Epoch, Task


class Resumable(Protocol):
    """The state of a training, which can be saved and restored after every epoch of its ``history``."""

    @property
    def history(self) -> Sequence[Epoch]: ...

    @property
    def best_epoch(self) -> int | None: ...

    def checkpoint(self, key: str) -> Checkpoint: ...

    def restore(self, found: Checkpoint) -> None: ...


def train_epochs(state: Resumable, task: Task, key: str, next_epoch: Callable[[], bool]) -> None:
    """Trains ``state`` to the end, from the last checkpoint of the training called ``key`` if there is one.

    ``next_epoch`` trains one more epoch, or returns False when training is over.

    Raises RecipeError when a number in the state is not finite after an epoch.
    """
    if found := load_checkpoint(task.folder, key):
        restore_checkpoint(state.restore, found, task.folder)
        task.resumed(state.history[-1])
    keep_freed_memory()
    with reproducible():
        while next_epoch():
            reached = state.checkpoint(key)
            _require_finite(reached)
            if processes.leads():
                save_checkpoint(reached, task.folder)
            processes.wait()
            task.observe(state.history[-1], state.best_epoch == state.history[-1]["epoch"])


def _require_finite(reached: Checkpoint) -> None:
    """Raises RecipeError if the last step of an epoch went too far, which no loss of a batch shows."""
    if reached.not_finite:
        found = f"{reached.not_finite[0]} is not finite after epoch {int(reached.history[-1]['epoch'])}"
        raise RecipeError("train", found, "weights that stay finite", "Lower the learning rate.")
