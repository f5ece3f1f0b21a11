"""Batches for training: events counted in time steps, kept as one integer per event, spread out batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from deploytool.data.samples import Indices
from deploytool.errors import InputError
from deploytool.events import EventStream, Shape, format_shape
from deploytool.graph import frozen
from deploytool.progress import Tick, no_progress


@dataclass(frozen=True, eq=False)
class BinnedEvents:
    """S samples on maps of ``shape``, their times in ``time_steps`` steps of equal length.

    ``cells`` holds ((step * C + c) * H + y) * W + x of every event, sample after sample; those of sample i are
    ``cells[starts[i] : starts[i + 1]]``. ``labels`` is (S,).
    """

    cells: NDArray[np.int32]
    starts: NDArray[np.int64]
    labels: NDArray[np.int64]
    shape: Shape
    time_steps: int

    def __post_init__(self) -> None:
        for name in ("cells", "starts", "labels"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    def __len__(self) -> int:
        return len(self.labels)


def bin_events(streams: Sequence[EventStream], time_steps: int, tick: Tick = no_progress) -> BinnedEvents:
    """All ``streams`` in ``time_steps`` steps: an event at t_us falls into step t_us * time_steps // duration_us.

    Raises InputError when there are none, or their shapes differ.
    """
    if not len(streams):
        raise InputError("data", "no samples", "at least one")
    shape = streams[0].shape
    cells, labels = [], []
    for number, stream in enumerate(streams, start=1):
        if stream.shape != shape:
            raise InputError(
                stream.name, f"a map of {format_shape(stream.shape)}", f"{format_shape(shape)}, as the sample before it"
            )
        cells.append(_cells(stream, time_steps))
        labels.append(stream.label)
        tick(number, len(streams), "")
    starts = np.cumsum([0, *map(len, cells)])
    return BinnedEvents(np.concatenate(cells), starts, np.array(labels, np.int64), shape, time_steps)


def _cells(stream: EventStream, time_steps: int) -> NDArray[np.int32]:
    _, height, width = stream.shape
    events = stream.events
    step = events["t"] * time_steps // stream.duration_us
    channel_rows = (step * stream.shape[0] + events["c"]) * height + events["y"]
    cells: NDArray[np.int32] = (channel_rows * width + events["x"]).astype(np.int32)
    return cells


@dataclass(frozen=True)
class Augmentation:
    """How samples are changed anew in every round: moved by up to ``shift`` pixels either way along both axes, and
    up to a share ``drop`` of their events left out, the share drawn per sample, the events at random (event drop:
    Gu et al. 2021, "EventDrop: data augmentation for event-based learning")."""

    shift: int = 0
    drop: float = 0.0


AS_THEY_ARE: Final = Augmentation()


@dataclass(frozen=True, eq=False)
class Changes:
    """What happens to B samples: ``moves`` (B, 2) rows down and columns to the right, ``left_out`` (B,) the share of
    events left out, by ``generator``; what a move takes off the map is gone."""

    moves: NDArray[np.int64]
    left_out: NDArray[np.float64]
    generator: np.random.Generator


def frames(binned: BinnedEvents, chosen: Indices, changes: Changes | None = None) -> torch.Tensor:
    """(T, B, C, H, W) float32: events per time step, feature and pixel of the ``chosen`` (B,) samples."""
    channels, height, width = binned.shape
    begins, ends = binned.starts[chosen], binned.starts[chosen + 1]
    cells = np.concatenate([binned.cells[begin:end] for begin, end in zip(begins, ends, strict=True)]).astype(np.int64)
    sample = np.repeat(np.arange(len(chosen)), ends - begins)
    if changes is not None:
        kept = changes.generator.random(len(cells)) >= changes.left_out[sample]
        cells, sample = _moved(cells[kept], sample[kept], changes.moves, height, width)
    size = channels * height * width
    step = cells // size
    place = (step * len(chosen) + sample) * size + (cells - step * size)
    counts = torch.zeros(binned.time_steps, len(chosen), channels, height, width)
    counts.view(-1).index_add_(0, torch.from_numpy(place), torch.ones(len(place)))
    return counts


def _moved(
    cells: NDArray[np.int64], sample: NDArray[np.int64], moves: NDArray[np.int64], height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(cells, sample) of the events that are on the map after the move of their sample."""
    row = cells // width
    dy, dx = moves[sample].T
    y, x = row % height + dy, cells - row * width + dx
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    return (cells + dy * width + dx)[inside], sample[inside]


def batches(
    binned: BinnedEvents, batch: int, generator: torch.Generator | None = None, augmentation: Augmentation = AS_THEY_ARE
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(frames (T, B, C, H, W) float32, labels (B,) int64) of all samples, ``batch`` at a time, the last maybe fewer.

    With a ``generator``, which alone decides, the order is random and samples are changed by ``augmentation``.
    Without one, samples come in their order and as they are.
    """
    count, changes = len(binned), None
    order = np.arange(count)
    if generator is not None:
        order = torch.randperm(count, generator=generator).numpy()
        drawn = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        moves = drawn.integers(-augmentation.shift, augmentation.shift, (count, 2), endpoint=True)
        changes = Changes(moves, augmentation.drop * drawn.random(count), drawn)
    for span in (slice(start, start + batch) for start in range(0, count, batch)):
        now = changes and Changes(changes.moves[span], changes.left_out[span], changes.generator)
        yield frames(binned, order[span], now), torch.from_numpy(binned.labels[order[span]])


class Loader:
    """``streams`` as batches in any number of time steps, binned on first use; see `batches`."""

    def __init__(self, streams: Sequence[EventStream], augmentation: Augmentation = AS_THEY_ARE) -> None:
        self._streams = streams
        self._augmentation = augmentation
        self._binned: BinnedEvents | None = None

    def __len__(self) -> int:
        return len(self._streams)

    def __call__(
        self, time_steps: int, batch: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """`batches` of the streams in ``time_steps`` steps. Raises InputError as `bin_events` does."""
        if self._binned is None or self._binned.time_steps != time_steps:
            self._binned = bin_events(self._streams, time_steps)
        return batches(self._binned, batch, generator, self._augmentation)
