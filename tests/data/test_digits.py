import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deploytool.base.errors import InputError, RecipeError
from deploytool.data.sets import digits
from deploytool.ir.events import EVENT


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    pytest.importorskip("sklearn")
    return digits.labelled_images()[0]


def slow_camera(image: np.ndarray) -> list[tuple[int, int, int, int]]:
    """ESIM for one image, pixel by pixel: move the reference by one contrast threshold at every crossing."""
    eye = digits.eye_path()
    levels = np.stack([digits.levels(image[None], position)[0] for position in eye])
    found = []
    for y, x in np.ndindex(levels.shape[1:]):
        reference = levels[0, y, x] - digits._first_phase()[y, x]
        for ms, (before, after) in enumerate(zip(levels[:-1, y, x], levels[1:, y, x], strict=True)):
            while abs(after - reference) >= 1:
                sign = 1 if after > reference else -1
                reference += sign
                share = (reference - before) / (after - before)
                found.append((ms * 1000 + round(1000 * share), int(sign > 0), y, x))
    return sorted(found)


def test_the_camera_equals_a_camera_pixel_by_pixel(images: np.ndarray) -> None:
    chosen = images[[0, 700, 1796]]
    for image, events in zip(chosen, digits.camera_events(chosen, digits.eye_path()), strict=True):
        slow = slow_camera(image)
        assert [event[1:] for event in sorted(events.tolist())] == [event[1:] for event in slow]
        assert np.abs(np.sort(events["t"]) - [event[0] for event in slow]).max() <= 1


def test_what_the_camera_sends_of_an_image_does_not_depend_on_the_others(images: np.ndarray) -> None:
    together = digits.camera_events(images[:5], digits.eye_path())
    for index in range(5):
        (alone,) = digits.camera_events(images[index : index + 1], digits.eye_path())
        assert np.array_equal(alone, together[index])


def test_a_blank_image_sends_nothing_and_on_balances_off_where_the_eye_returns(images: np.ndarray) -> None:
    blank, digit = digits.camera_events(np.stack([np.zeros((8, 8)), images[3]]), digits.eye_path())
    assert len(blank) == 0
    assert blank.dtype == EVENT
    net = np.zeros((16, 16))
    np.add.at(net, (digit["y"], digit["x"]), np.where(digit["c"] == 1, 1, -1))
    assert np.abs(net).max() <= 1


def test_every_sample_is_a_sensible_stream(images: np.ndarray) -> None:
    streams = [digits._stream(index) for index in range(len(images))]
    assert [stream.name for stream in streams] == [f"digits/{index}" for index in range(len(images))]
    assert len(streams) == len(images) == 1797
    counts = np.array([len(stream) for stream in streams])
    assert counts.min() > 500
    assert counts.max() < 1500
    for stream in streams:
        assert stream.shape == (2, 16, 16)
        assert stream.duration_us == 100_000
        assert 0.4 < stream.events["c"].mean() < 0.6


def test_the_test_part_is_fixed_and_even() -> None:
    pytest.importorskip("sklearn")
    train, test = digits.parts(None)
    names = [{stream.name for stream in part} for part in (train, test)]
    assert not names[0] & names[1]
    assert (len(train), len(test)) == (1438, 359)
    assert set(np.bincount(test.labels)) <= {35, 36, 37}


def test_the_fingerprint_names_the_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    before = digits.fingerprint(None)
    assert digits.fingerprint(None) == before
    monkeypatch.setattr(digits, "CONTRAST", 0.31)
    assert digits.fingerprint(None) != before


def test_a_root_is_refused() -> None:
    for function in (digits.parts, digits.fingerprint):
        with pytest.raises(RecipeError, match=r"data.root: found '/tmp'; need no root"):
            function("/tmp")


def test_the_images_are_those_of_scikit_learn_which_is_not_imported() -> None:
    load_digits = pytest.importorskip("sklearn.datasets").load_digits
    found, (images, labels) = load_digits(), digits.labelled_images()
    assert np.array_equal(images, found.images / digits.WHITE)
    assert np.array_equal(labels, found.target)
    code = "import sys; from deploytool.data.sets.digits import parts; parts(None); print('sklearn' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_a_damaged_file_of_images_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / digits.FILE).parent.mkdir(parents=True)
    (tmp_path / digits.FILE).write_bytes(b"no archive")
    monkeypatch.setattr(digits, "_installed", lambda _: tmp_path)
    with pytest.raises(InputError, match=r"digits.csv.gz: not readable"):
        digits.labelled_images.__wrapped__()
