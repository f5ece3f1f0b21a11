"""The history of a training in TensorBoard's event files, epoch by epoch, so that it can be watched."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploytool.base.errors import ArtifactError
from deploytool.base.extras import require
from deploytool.train.task import Epoch, Observe


def require_tensorboard() -> None:
    """Raises UsageError where the package that writes event files is not installed."""
    require("--tensorboard", "tensorboard")


@contextmanager
def event_file(folder: Path) -> Iterator[Observe]:
    """A function that writes each value of an epoch as a scalar at the epoch's step to a new event file in ``folder``.

    An epoch is in the file when the call returns. Raises UsageError without TensorBoard, ArtifactError where the file
    cannot be written.
    """
    require_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    with _as_one_sentence(folder):
        writer = SummaryWriter(str(folder), filename_suffix=".deploytool")

    def write(epoch: Epoch, _best: bool) -> None:
        with _as_one_sentence(folder):
            for tag, value in epoch.items():
                if tag != "epoch":
                    writer.add_scalar(tag, value, int(epoch["epoch"]))
            writer.flush()

    try:
        yield write
    finally:
        with contextlib.suppress(OSError):
            writer.close()


@contextmanager
def _as_one_sentence(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        found = f"cannot be written ({error.strerror})"
        raise ArtifactError(f"--tensorboard {folder}", found, "a writable folder") from None
