import itertools
import random
from hashlib import sha256

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deploytool.data.samples import Held, Samples, even_subset, hash_split, hold_out, joined
from deploytool.ir.events import EVENT, EventStream

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(lambda values: np.array(values, np.int64))


def numbered(count: int, offset: int = 0) -> Samples:
    def make(index: int) -> EventStream:
        return EventStream(np.zeros(0, EVENT), (1, 1, 1), 1, name=str(offset + index))

    return Samples(np.arange(count) % 3, make)


def test_samples_behave_like_a_list_and_are_made_when_asked_for() -> None:
    samples = numbered(10)
    names = [sample.name for sample in samples]
    assert names == [str(number) for number in range(10)]
    assert samples[-1].name == "9"
    assert [sample.name for sample in samples[2:9:3]] == names[2:9:3]
    assert list(samples[2:9:3].labels) == [2, 2, 2]
    assert [sample.name for sample in samples.take(np.array([5, 1]))] == ["5", "1"]


def test_joined_samples_are_one_part_after_the_other() -> None:
    both = joined([numbered(3), numbered(0), numbered(4, offset=3)])
    assert [sample.name for sample in both] == [str(number) for number in range(7)]
    assert list(both.labels) == [0, 1, 2, 0, 1, 2, 0]


@given(LABELS, st.floats(0.01, 0.49), st.integers(0, 2**31 - 1))
def test_hold_out_is_exact_and_even_over_the_classes(labels: np.ndarray, share: float, seed: int) -> None:
    kept, held = hold_out(labels, share, seed)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert len(held) == max(1, round(share * len(labels)))
    count, out = np.bincount(labels), np.bincount(labels[held], minlength=labels.max() + 1)
    for a, b in itertools.permutations(np.flatnonzero(count), 2):
        if out[a] and out[b] < count[b]:  # giving one of a's back and taking one more of b would not be more even
            assert (out[a] - 0.5) / count[a] <= (out[b] + 0.5) / count[b] + 1e-12
    again = hold_out(labels, share, seed)
    assert all(np.array_equal(a, b) for a, b in zip((kept, held), again, strict=True))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), min_size=2, max_size=30), st.floats(0.05, 0.45))
def test_samples_of_one_group_are_held_out_together(groups: list[tuple[int, int]], share: float) -> None:
    labels = np.repeat([label for label, _ in groups], [size for _, size in groups])
    of = np.repeat(np.arange(len(groups)), [size for _, size in groups])
    kept, held = hold_out(labels, share, 0, of)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert not {*of[kept]} & {*of[held]}
    assert len({*of[held]}) == max(1, round(share * len(groups)))


def test_groups_of_one_sample_are_held_out_as_samples_are() -> None:
    labels = np.repeat(np.arange(3), 10)
    for one, other in zip(hold_out(labels, 0.2, 5), hold_out(labels, 0.2, 5, np.arange(30)), strict=True):
        assert np.array_equal(one, other)


def test_samples_keep_their_groups() -> None:
    samples = Samples(np.zeros(4), lambda index: index, np.array([0, 0, 1, 2]))
    assert samples.take(np.array([3, 1])).map(str).groups.tolist() == [2, 0]
    assert numbered(3).take(np.array([0])).groups is None


def test_hold_out_depends_on_the_seed_and_not_on_the_machine() -> None:
    labels = np.zeros(20, np.int64)
    assert list(hold_out(labels, 0.2, 0)[1]) == [2, 3, 11, 13]
    assert list(hold_out(labels, 0.2, 1)[1]) != [2, 3, 11, 13]


@given(LABELS, st.data())
def test_even_subset_takes_from_all_classes_and_grows_by_adding(labels: np.ndarray, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(labels)))
    chosen = even_subset(labels, count, 1)
    assert len(np.unique(chosen)) == count
    assert list(chosen) == sorted(chosen)
    assert set(chosen) <= set(even_subset(labels, min(count + 3, len(labels)), 1))
    taken, there = (np.bincount(part, minlength=5) for part in (labels[chosen], labels))
    has_more = taken < there
    if has_more.any():
        assert taken.max() - taken[has_more].min() <= 1


@given(
    st.lists(st.tuples(st.text(max_size=4), st.integers(0, 3)), min_size=1, max_size=40, unique_by=lambda i: i[0]),
    st.floats(0.05, 0.6),
    st.randoms(),
)
def test_a_hash_split_follows_from_the_names_whatever_their_order(
    items: list[tuple[str, int]], share: float, rng: random.Random
) -> None:
    def split(named: list[tuple[str, int]]) -> tuple[set[str], set[str]]:
        names = [name for name, _ in named]
        train, test = hash_split(names, np.array([label for _, label in named]), share)
        assert list(train) == sorted(train)
        assert list(test) == sorted(test)
        assert sorted([*train, *test]) == list(range(len(names)))
        return {names[i] for i in train}, {names[i] for i in test}

    train, test = split(items)
    assert split(rng.sample(items, len(items))) == (train, test)
    for label in range(4):
        of_class = {name for name, own in items if own == label}
        wanted = min(max(1, round(share * len(of_class))), len(of_class) - 1)
        assert len(of_class & test) == max(0, wanted)
        hashes = {name: sha256(name.encode()).digest() for name in of_class}
        if of_class & test and of_class & train:
            assert max(hashes[name] for name in of_class & test) < min(hashes[name] for name in of_class & train)


def test_the_hash_split_of_a_known_set_is_what_it_was() -> None:
    """The test set of CIFAR10-DVS: the names are those of its files."""
    names = [f"{name}/cifar10_{name}_{i}.aedat4" for name in ("airplane", "truck") for i in range(1000)]
    train, test = hash_split(names, np.repeat([0, 9], 1000), 0.1)
    assert (len(train), len(test)) == (1800, 200)
    assert [names[i] for i in test[:3]] == [f"airplane/cifar10_airplane_{i}.aedat4" for i in (10, 44, 49)]


def test_held_samples_are_made_once_as_far_as_there_is_room() -> None:
    made: list[int] = []

    def make(index: int) -> int:
        made.append(index)
        return 10 * index

    held = Held(Samples(np.arange(5), make), size=lambda _: 2, most=6)
    assert [held[i] for i in (1, 0, 3, 2)] == [10, 0, 30, 20]
    assert held[-4] == held[1] == 10
    assert made == [1, 0, 3, 2]
    assert held[1:3] == [10, 20]
    assert made == [1, 0, 3, 2, 2]  # there was no room for sample 2
    assert len(held) == 5
