from pathlib import Path

import numpy as np
import pytest

from deploytool.data.datasets import DATASETS, fingerprint, load
from deploytool.errors import InputError, RecipeError
from deploytool.recipe import DataSection

DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(autouse=True)
def _sklearn() -> None:
    pytest.importorskip("sklearn")


def test_parts_are_disjoint_complete_and_even() -> None:
    dataset = load(DataSection(set="digits", validation=0.1), seed=0)
    names = [[stream.name for stream in part] for part in (dataset.train, dataset.validation, dataset.test)]
    assert [len(part) for part in names] == [1294, 144, 359]
    assert len(set().union(*names)) == 1797
    assert (dataset.shape, dataset.classes) == ((2, 16, 16), 10)
    assert set(np.bincount(dataset.validation.labels)) <= {14, 15}
    assert all(stream.label == label for stream, label in zip(dataset.train, dataset.train.labels, strict=True))


def test_the_seed_moves_validation_and_never_the_test_part() -> None:
    spec = DataSection(set="digits")
    one, again, other = load(spec, 0), load(spec, 0), load(spec, 1)

    def names(part: object) -> list[str]:
        return [stream.name for stream in part]

    assert names(one.validation) == names(again.validation) != names(other.validation)
    assert names(one.test) == names(other.test)


def test_subsets_are_even() -> None:
    dataset = load(DataSection(set="digits", train_samples=100, test_samples=30, validation=0.2), 0)
    assert list(np.bincount(dataset.train.labels)) == [8] * 10
    assert list(np.bincount(dataset.validation.labels)) == [2] * 10
    assert list(np.bincount(dataset.test.labels)) == [3] * 10


def test_denoise_is_applied_to_every_part() -> None:
    raw = load(DataSection(set="digits", train_samples=10), 0)
    clean = load(DataSection(set="digits", train_samples=10, denoise_ms=0.5), 0)
    for part in ("train", "validation", "test"):
        assert len(getattr(clean, part)[0]) < len(getattr(raw, part)[0])


def test_bad_sections_are_one_sentence() -> None:
    for function in (load, fingerprint):
        with pytest.raises(RecipeError, match=r"^data.set: found 'dogs'; need one of digits, nmnist.$"):
            function(DataSection(set="dogs"), 0)
    with pytest.raises(RecipeError, match=r"data.test_samples: found 360; need at most 359"):
        load(DataSection(set="digits", test_samples=360), 0)
    with pytest.raises(InputError, match="of 1 training samples 1 are for validation; need at least one"):
        load(DataSection(set="digits", train_samples=1), 0)


def test_the_fingerprint_follows_the_section_and_the_seed() -> None:
    spec = DataSection(set="digits")
    prints = {
        fingerprint(spec, 0), fingerprint(spec, 1), fingerprint(spec.model_copy(update={"validation": 0.2}), 0),
        fingerprint(spec.model_copy(update={"denoise_ms": 10.0}), 0),
    }  # fmt: skip
    assert len(prints) == 4
    assert fingerprint(DataSection(set="digits"), 0) in prints


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
def test_nmnist_from_the_archives() -> None:
    dataset = load(DataSection(set="nmnist", root=str(DATA / "nmnist"), denoise_ms=10), seed=0)
    assert len(dataset.train) + len(dataset.validation) == 3500
    assert len(dataset.test) == 500
    assert dataset.train[0].shape == dataset.shape == DATASETS["nmnist"].shape
