from pathlib import Path

import numpy as np
import pytest

from deploytool.base.errors import InputError, RecipeError
from deploytool.data.images import Image
from deploytool.data.sets.sources import DATASETS, EVENT_SETS, IMAGE_SETS, SPEECH_SETS
from deploytool.data.sets.table import fingerprint, load, load_events
from deploytool.recipe import DataSection


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
    names = DataSection.model_json_schema()["properties"]["set"]["enum"]
    assert names == list(DATASETS)
    with pytest.raises(RecipeError, match=r"data.test_samples: found 360; need at most 359"):
        load(DataSection(set="digits", test_samples=360), 0)
    with pytest.raises(InputError, match="1 of 1 training samples are for validation; need at least one"):
        load(DataSection(set="digits", train_samples=1), 0)


def test_the_fingerprint_follows_the_section_and_the_seed() -> None:
    spec = DataSection(set="digits")
    prints = {
        fingerprint(spec, 0),
        fingerprint(spec, 1),
        fingerprint(spec.model_copy(update={"validation": 0.2}), 0),
        fingerprint(spec.model_copy(update={"denoise_ms": 10.0}), 0),
    }
    assert len(prints) == 4
    assert fingerprint(DataSection(set="digits"), 0) in prints


def test_nmnist_from_the_archives(shared_data: Path) -> None:
    dataset = load(DataSection(set="nmnist", root=str(shared_data / "nmnist"), denoise_ms=10), seed=0)
    assert len(dataset.train) + len(dataset.validation) == 3500
    assert len(dataset.test) == 500
    assert dataset.train[0].shape == dataset.shape == DATASETS["nmnist"].shape


def test_digits_are_images_too_with_the_same_split() -> None:
    images = load(DataSection(set="digits-images", coding="direct"), 0)
    events = load(DataSection(set="digits"), 0)
    for part in ("train", "validation", "test"):
        numbers = [[sample.name.split("/")[1] for sample in getattr(data, part)] for data in (images, events)]
        assert numbers[0] == numbers[1]
    image = images.test[0]
    assert isinstance(image, Image)
    assert (image.shape, image.top, images.shape, images.classes) == ((1, 8, 8), 16, (1, 8, 8), 10)


def test_images_come_by_count_unless_asked_otherwise() -> None:
    spec = DataSection(set="digits-images", train_samples=20, test_samples=10)
    images = load(spec.model_copy(update={"coding": "direct"}), 0)
    by_default, asked = load(spec, 0), load(spec.model_copy(update={"coding": "count", "levels": 16}), 0)
    for image, one, other in zip(images.test, by_default.test, asked.test, strict=True):
        assert np.array_equal(one.events, other.events)
        assert one.duration_us == 100_000
        assert len(one) == image.pixels.sum()  # 16 levels, values 0..16
    rate = load(spec.model_copy(update={"coding": "rate", "levels": 4, "duration_ms": 7.5}), 0)
    assert {stream.duration_us for stream in rate.train} == {7500}
    assert 0 < len(rate.test[0]) < 4 * 64


def test_only_events_are_for_those_who_need_events() -> None:
    spec = DataSection(set="digits-images", coding="direct")
    with pytest.raises(RecipeError, match=r"^data.coding: found 'direct'; need count or rate: only events reach"):
        load_events(spec, 0)
    assert load_events(DataSection(set="digits"), 0).test[0].label == load(DataSection(set="digits"), 0).test[0].label


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        (
            {"set": "digits", "coding": "count", "levels": 4},
            [
                "data.coding: found 'count'; need events for the set digits, which holds events.",
                "data.levels: found 4; need none without count or rate coding of images.",
            ],
        ),
        (
            {"set": "mnist", "coding": "events", "denoise_ms": 1, "size": [5, 5]},
            [
                "data.coding: found 'events'; need count, rate, direct for the set mnist, which holds images.",
                "data.denoise_ms: found 1; need none for the set mnist, which holds images.",
                "data.size: found [5, 5]; need none for the set mnist, which holds images of one size.",
            ],
        ),
        (
            {"set": "imagefolder", "coding": "direct", "levels": 2, "duration_ms": 1, "bins": "count"},
            [
                "data.levels: found 2; need none without count or rate coding of images.",
                "data.size: missing for the set imagefolder; need [H, W], to which its images are scaled.",
                "data.duration_ms: found 1; need none with direct coding, which has no time.",
                "data.bins: found 'count'; need none with direct coding, which has no events.",
            ],
        ),
    ],
)
def test_keys_that_do_not_go_with_the_set_are_refused_together(values: dict[str, object], problems: list[str]) -> None:
    for function in (load, fingerprint):
        with pytest.raises(RecipeError) as caught:
            function(DataSection.model_validate(values), 0)
        assert list(caught.value.problems) == problems


def test_events_are_shortened_then_scaled() -> None:
    whole = load(DataSection(set="digits", test_samples=10), 0).test
    for short, full in zip(
        load(DataSection(set="digits", test_samples=10, duration_ms=33, size=(4, 8)), 0).test, whole, strict=True
    ):
        assert (short.shape, short.duration_us) == ((2, 4, 8), 33_000)
        assert len(short) == np.count_nonzero(full.events["t"] < 33_000)


def test_a_network_for_another_map_is_refused() -> None:
    data = load(DataSection(set="digits", size=(4, 8)), 0)
    data.require((2, 4, 8))
    with pytest.raises(
        RecipeError, match=r"network.input: found \[2, 16, 16\]; need \[2, 4, 8\], the map of the set digits"
    ):
        data.require((2, 16, 16))
    data.require_outputs(10)
    with pytest.raises(RecipeError, match=r"network.layers: the last gives 9 outputs; need at least 10, one for each"):
        data.require_outputs(9)


def test_every_set_is_one_line_and_of_one_kind() -> None:
    assert list(DATASETS) == [*EVENT_SETS, *IMAGE_SETS, *SPEECH_SETS]
    assert set(DATASETS) == {
        "digits",
        "nmnist",
        "digits-saccades",
        "nmnist-saccades",
        "dvsgesture",
        "cifar10dvs",
        "ncaltech101",
        "events",
        "digits-images",
        "mnist",
        "fashionmnist",
        "cifar10",
        "cifar100",
        "imagefolder",
        "speech",
        "voices",
    }
    for source in DATASETS.values():
        assert len(source.says) <= 64  # beside the names, on a terminal of 80 columns
