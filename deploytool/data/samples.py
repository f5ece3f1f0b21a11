"""Sequences of samples that are made when asked for, and splits of them that are the same on every machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import frozen

Indices: TypeAlias = NDArray[np.int64]
HELD_MAX: Final = 2**26
"""Events that `Held` keeps by default, at 14 bytes each."""

Part: TypeAlias = Literal["train", "validation", "test"]
"""What samples are for: training the weights, choosing the model, the verdict."""

Made = TypeVar("Made", covariant=True)
Other = TypeVar("Other")


@dataclass(frozen=True, eq=False)
class Samples(Sequence[Made], Generic[Made]):
    """Samples of known classes: ``labels`` (S,) int64, read-only; ``make(i)`` returns sample i, the same every time.

    Samples with the same number in ``groups`` (S,) stay on one side of a split; None means that each is alone.
    """

    labels: NDArray[np.int64]
    make: Callable[[int], Made]
    groups: Indices | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", frozen(np.asarray(self.labels, np.int64)))

    def __len__(self) -> int:
        return len(self.labels)

    @overload
    def __getitem__(self, index: int) -> Made: ...
    @overload
    def __getitem__(self, index: slice) -> Samples[Made]: ...
    def __getitem__(self, index: int | slice) -> Made | Samples[Made]:
        chosen = range(len(self))[index]
        return self.make(chosen) if isinstance(chosen, int) else self.take(np.array(chosen, np.int64))

    def take(self, indices: Indices) -> Samples[Made]:
        """The samples at ``indices``, in that order."""
        groups = None if self.groups is None else self.groups[indices]
        return Samples(self.labels[indices], lambda i: self.make(int(indices[i])), groups)

    def map(self, transform: Callable[[Made], Other]) -> Samples[Other]:
        """The same samples; ``transform`` is applied to each when it is made."""
        return Samples(self.labels, lambda i: transform(self.make(i)), self.groups)

    def relabelled(self, numbers: Sequence[int]) -> Samples[Made]:
        """The same samples, whose class i is ``numbers[i]``; samples must have a field ``label``."""
        labels = np.where(self.labels < 0, self.labels, np.array(numbers, np.int64)[self.labels])

        def make(index: int) -> Made:
            sample: Any = self.make(index)
            changed: Made = replace(sample, label=int(labels[index]))
            return changed

        return Samples(labels, make, self.groups)


class Held(Sequence[Other]):
    """``samples``, each made once; those beyond ``most`` in size, all together, are made on every access.

    ``size(sample)`` is the size of a sample, for example its number of events.
    """

    def __init__(self, samples: Sequence[Other], size: Callable[[Other], int], most: int = HELD_MAX) -> None:
        self._samples = samples
        self._size = size
        self._room = most
        self._made: dict[int, Other] = {}

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, index: int) -> Other: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Other]: ...
    def __getitem__(self, index: int | slice) -> Other | Sequence[Other]:
        chosen = range(len(self))[index]
        if not isinstance(chosen, int):
            return [self[each] for each in chosen]
        if chosen in self._made:
            return self._made[chosen]
        sample = self._samples[chosen]
        self._room -= self._size(sample)
        if self._room >= 0:
            self._made[chosen] = sample
        return sample


def joined(parts: Sequence[Samples[Other]]) -> Samples[Other]:
    """The samples of all ``parts``, one part after the other."""
    starts = np.cumsum([0, *map(len, parts)])

    def make(index: int) -> Other:
        part = int(np.searchsorted(starts, index, side="right")) - 1
        return parts[part].make(index - int(starts[part]))

    return Samples(np.concatenate([part.labels for part in parts]), make)


def even_subset(labels: NDArray[np.int64], count: int, seed: int) -> Indices:
    """The indices of ``count`` samples, evenly over the classes as far as each has enough, in ascending order.

    With the same ``seed``, a smaller subset is a part of every larger one.
    """
    by_rank = np.lexsort((labels, _rank_in_class(labels, seed)))
    return np.sort(by_rank[:count])


def hold_out(
    labels: NDArray[np.int64], share: float, seed: int, groups: Indices | None = None
) -> tuple[Indices, Indices]:
    """The indices (kept, held out) in ascending order, disjoint and together all.

    ``share`` of all samples is held out, to the nearest integer and at least one, evenly over the classes. With
    ``groups`` (S,) it is the share of the groups, each of the class of its first sample, whose samples stay together.
    """
    if groups is not None:
        _, first, member = np.unique(groups, return_index=True, return_inverse=True)
        kept, _ = hold_out(labels[first], share, seed)
        stays = np.isin(member, kept)
        return np.flatnonzero(stays), np.flatnonzero(~stays)
    place_in_class = (_rank_in_class(labels, seed) + 0.5) / np.bincount(labels)[labels]
    order = np.lexsort((labels, place_in_class))
    count = max(1, round(share * len(labels)))
    return np.sort(order[count:]), np.sort(order[:count])


def hash_split(names: Sequence[str], labels: NDArray[np.int64], share: float) -> tuple[Indices, Indices]:
    """The indices (training, test) in ascending order, which depend only on the samples' ``names``, not on their order.

    In every class the samples whose names have the lowest SHA-256 are test samples: ``share`` of the class to the
    nearest integer, at least one, but never all.
    """
    hashes = np.array([sha256(name.encode()).hexdigest() for name in names])
    test = []
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        count = min(max(1, round(share * len(of_class))), len(of_class) - 1)
        test.append(of_class[np.argsort(hashes[of_class])[:count]])
    held = np.sort(np.concatenate(test)) if test else np.empty(0, np.int64)
    return np.setdiff1d(np.arange(len(names)), held), held


def _rank_in_class(labels: NDArray[np.int64], seed: int) -> Indices:
    """The place of every sample among those of its class, in a random order fixed by ``seed``."""
    # A bit generator's raw stream is the same in every version of numpy, a Generator's methods are not.
    draws = np.random.PCG64(seed).random_raw(len(labels))
    order = np.lexsort((draws, labels))
    first = np.searchsorted(labels[order], labels[order])
    ranks = np.empty(len(labels), np.int64)
    ranks[order] = np.arange(len(labels)) - first
    return ranks
