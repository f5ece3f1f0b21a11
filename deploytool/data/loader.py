"""Batches for training: events in time steps, spread out batch by batch; images and mixtures of voices as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from deploytool.base.arrays import Array, Shape, format_shape, frozen
from deploytool.base.errors import InputError
from deploytool.base.progress import Tick, no_progress
from deploytool.data.augment import Changes, change_events, change_images, change_stream, check, draw
from deploytool.data.images import Image
from deploytool.data.samples import Indices
from deploytool.ir.events import Bins, EventStream, cells_of
from deploytool.ir.speech import Mixture
from deploytool.ir.windows import targets_in
from deploytool.recipe import AugmentSection, DataSection

AS_THEY_ARE: Final = AugmentSection()
HELD_EVENTS: Final = 2**29
"""Number of events kept in memory, at four bytes each; further samples are read again on each access."""


Wanted: TypeAlias = Callable[[EventStream], Array]
"""What the answer to a sample should be: its label, or targets."""


def label_of(stream: EventStream) -> Array:
    """(): the label of ``stream``."""
    return np.array(stream.label, np.int64)


def targets_of(windows: int) -> Wanted:
    """A function that returns the targets (W, D) of a sample in each of its ``windows``.

    It raises InputError for a sample without targets, or with some that do not divide into these windows.
    """

    def wanted(stream: EventStream) -> Array:
        found = targets_in(stream, windows)
        if not found.size:
            raise InputError(stream.name, "no targets", "the values that the network learns", "Name data with targets.")
        return found

    return wanted


@dataclass(frozen=True, eq=False)
class BinnedEvents:
    """S samples on maps of ``shape``, binned by ``bins`` into ``time_steps`` steps.

    ``wanted`` are their labels (S,), or the targets (S, W, D) in each of W windows.

    ``held`` keeps the results of `cells` for the first of ``streams``.
    """

    streams: Sequence[EventStream]
    held: tuple[NDArray[np.int32], ...]
    wanted: Array
    shape: Shape
    time_steps: int
    bins: Bins

    def __post_init__(self) -> None:
        object.__setattr__(self, "wanted", frozen(self.wanted))

    def __len__(self) -> int:
        return len(self.wanted)

    def cells(self, index: int) -> NDArray[np.int32]:
        """`deploytool.ir.events.cells_of` sample ``index``: where each of its events is in (T, C, H, W), flat."""
        if index < len(self.held):
            return self.held[index]
        return _cells(self.streams[index], self.time_steps, self.bins)


def bin_events(
    streams: Sequence[EventStream],
    time_steps: int,
    tick: Tick = no_progress,
    bins: Bins = "time",
    held_events: int = HELD_EVENTS,
    wanted: Wanted = label_of,
) -> BinnedEvents:
    """All ``streams`` in ``time_steps`` steps of equal time, or each with an equal count of the sample's events.

    `deploytool.ir.events.steps_of` gives the step of each event; ``wanted(stream)`` is what its answer should be.
    Raises InputError if there are no streams, or if their shapes differ.
    """
    if not len(streams):
        raise InputError("data", "no samples", "at least one")
    shape = streams[0].shape
    held: list[NDArray[np.int32]] = []
    answers, room = [], held_events
    for number, stream in enumerate(streams, start=1):
        if stream.shape != shape:
            raise InputError(
                stream.name,
                f"a map of {format_shape(stream.shape)}",
                f"{format_shape(shape)}, the map of the sample before it",
            )
        room -= len(stream)
        if room >= 0:
            held.append(_cells(stream, time_steps, bins))
        answers.append(wanted(stream))
        tick(number, len(streams), "")
    return BinnedEvents(streams, tuple(held), np.stack(answers), shape, time_steps, bins)


def _cells(stream: EventStream, time_steps: int, bins: Bins) -> NDArray[np.int32]:
    cells = cells_of(stream, time_steps, bins).astype(np.int32)
    cells.setflags(write=False)
    return cells


def frames(binned: BinnedEvents, chosen: Indices, changes: Changes | None = None) -> torch.Tensor:
    """(T, B, C, H, W) float32: events per time step, feature and pixel of the ``chosen`` (B,) samples.

    Features come last in memory, as layers in training take them.
    """
    parts = [binned.cells(index) for index in chosen.tolist()]
    cells = np.concatenate(parts).astype(np.int64)
    sample = np.repeat(np.arange(len(chosen)), [len(part) for part in parts])
    if changes is not None:
        cells, sample = change_events(cells, sample, changes, binned.shape, binned.time_steps)
    features, rows, columns = binned.shape
    plane, pixel = np.divmod(cells, rows * columns)
    step, feature = np.divmod(plane, features)
    place = ((step * len(chosen) + sample) * (rows * columns) + pixel) * features + feature
    counts = torch.zeros(binned.time_steps, len(chosen), rows, columns, features)
    counts.view(-1).index_add_(0, torch.from_numpy(place), torch.ones(len(place)))
    return counts.movedim(-1, 2)


def batches(
    binned: BinnedEvents, batch: int, generator: torch.Generator | None = None, augment: AugmentSection = AS_THEY_ARE
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(frames (T, B, C, H, W) float32, their ``wanted`` (B, ...)) of all samples, ``batch`` at a time, the last maybe
    fewer.

    With a ``generator`` the order is random and samples are changed by ``augment``; both depend only on the generator.
    Without one, samples are unchanged and in order.
    """
    for chosen, changes in _rounds(len(binned), binned.shape, batch, generator, augment):
        yield frames(binned, chosen, changes), torch.from_numpy(binned.wanted[chosen])


def _rounds(
    count: int, shape: Shape, batch: int, generator: torch.Generator | None, augment: AugmentSection
) -> Iterator[tuple[Indices, Changes | None]]:
    """The indices of the samples of each batch, and their changes."""
    order, changes = np.arange(count), None
    if generator is not None:
        order = torch.randperm(count, generator=generator).numpy()
        changes = draw(augment, shape, count, int(torch.randint(2**62, (), generator=generator)))
    for span in (slice(start, start + batch) for start in range(0, count, batch)):
        yield order[span], changes and changes.of(span)


class Loader:
    """``streams`` as batches in any number of time steps, binned on first use; see `batches`."""

    def __init__(
        self,
        streams: Sequence[EventStream],
        augment: AugmentSection = AS_THEY_ARE,
        bins: Bins = "time",
        wanted: Wanted = label_of,
    ) -> None:
        self._streams = streams
        self._augment = augment
        self._bins, self._wanted = bins, wanted
        self._binned: BinnedEvents | None = None

    def __len__(self) -> int:
        return len(self._streams)

    def __call__(
        self, time_steps: int, batch: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """`batches` of the streams in ``time_steps`` steps. Raises InputError as `bin_events` does."""
        if self._binned is None or self._binned.time_steps != time_steps:
            self._binned = bin_events(self._streams, time_steps, bins=self._bins, wanted=self._wanted)
        return batches(self._binned, batch, generator, self._augment)


class StreamLoader:
    """``streams`` in batches of event streams with times in microseconds; see `__call__`."""

    def __init__(self, streams: Sequence[EventStream], augment: AugmentSection = AS_THEY_ARE) -> None:
        self._streams = streams
        self._augment = augment

    def __len__(self) -> int:
        return len(self._streams)

    def __call__(self, batch: int, generator: torch.Generator | None = None) -> Iterator[list[EventStream]]:
        """All streams, ``batch`` at a time; otherwise as `batches`."""
        for chosen, changes in _rounds(len(self), self._streams[0].shape, batch, generator, self._augment):
            streams = [self._streams[index] for index in chosen.tolist()]
            if changes is not None:
                streams = [change_stream(each, changes.of(slice(i, i + 1))) for i, each in enumerate(streams)]
            yield streams


class ImageLoader:
    """``images`` in batches; every time step is the image itself, with intensities 0..1 (direct coding)."""

    def __init__(self, images: Sequence[Image], augment: AugmentSection = AS_THEY_ARE) -> None:
        self._images = images
        self._augment = augment

    def __len__(self) -> int:
        return len(self._images)

    def __call__(
        self, time_steps: int, batch: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(frames (T, B, C, H, W) float32, T times the same values, labels (B,) int64); otherwise as `batches`."""
        for chosen, changes in _rounds(len(self), self._images[0].shape, batch, generator, self._augment):
            images = [self._images[index] for index in chosen.tolist()]
            pixels = np.stack([image.pixels for image in images])
            if changes is not None:
                pixels = change_images(pixels, changes, images[0].top)
            frame = torch.from_numpy(pixels).float() / images[0].top
            labels = torch.tensor([image.label for image in images])
            yield frame.expand(time_steps, *frame.shape), labels


class MixtureLoader:
    """``mixtures`` of voices in batches, which have no time steps yet."""

    def __init__(self, mixtures: Sequence[Mixture]) -> None:
        self._mixtures = mixtures

    def __len__(self) -> int:
        return len(self._mixtures)

    def __call__(
        self, time_steps: int, batch: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(mixtures (1, B, 1, 1, N) float32, their sources (B, K, N) float32); otherwise as `batches`."""
        del time_steps  # A network's encoder comes before its time steps.
        for chosen, _ in _rounds(len(self), self._mixtures[0].shape, batch, generator, AS_THEY_ARE):
            sources = torch.from_numpy(np.stack([self._mixtures[index].sources for index in chosen.tolist()]))
            yield sources.sum(1)[None, :, None, None], sources


def loader(
    samples: Sequence[Any],
    spec: DataSection,
    augment: AugmentSection = AS_THEY_ARE,
    wanted: Wanted = label_of,
) -> Loader | ImageLoader | MixtureLoader:
    """Batches of the ``samples`` of a part of ``datasets.load(spec)``; ``wanted`` is for samples of events.

    Raises RecipeError if ``augment`` cannot be applied to samples of their shape.
    """
    if isinstance(samples[0], Mixture):
        return MixtureLoader(samples)
    of_images = spec.coding == "direct"
    check(augment, samples[0].shape, of_images)
    return ImageLoader(samples, augment) if of_images else Loader(samples, augment, spec.bins, wanted)
