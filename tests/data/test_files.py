import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.base.errors import InputError
from deploytool.data.formats.files import bin_events, read_events
from deploytool.ir.events import EVENT

SHAPE = (2, 34, 34)


def some_events(count: int = 5) -> np.ndarray:
    events = np.zeros(count, EVENT)
    events["t"], events["c"], events["x"] = 10 * np.arange(count), np.arange(count) % 2, np.arange(count)
    return events


def bin_bytes(events: np.ndarray) -> bytes:
    """The five-byte format, written from its description: x, y, then polarity and time in 24 bits, highest first."""
    return b"".join(bytes([x, y]) + (c << 23 | t).to_bytes(3, "big") for t, c, y, x in events.tolist())


def test_a_long_number_is_no_label_and_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    for folder in ("7", "2024", "9" * 30):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "a.npy", some_events())
    assert [stream.label for stream in read_events(tmp_path, SHAPE)] == [-1, 7, -1]
    (tmp_path / "7" / "a.npy").rename(tmp_path / "7" / "a\udcff.npy")
    with pytest.raises(InputError, match="not in UTF-8"):
        read_events(tmp_path, SHAPE)


@settings(max_examples=30)
@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_bin_round_trip(tmp_path_factory: pytest.TempPathFactory, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    events = np.zeros(count, EVENT)
    events["t"] = np.sort(rng.integers(0, 2**23, count))
    for axis, limit in (("c", 2), ("y", 256), ("x", 256)):
        events[axis] = rng.integers(0, limit, count)
    path = tmp_path_factory.mktemp("bin") / "sample.bin"
    path.write_bytes(bin_bytes(events))
    assert np.array_equal(bin_events(path), events)


def test_a_real_bin_file(shared_data: Path) -> None:
    (stream,) = read_events(shared_data / "event_formats" / "nmnist_sample.bin", SHAPE)
    assert len(stream) == 4325
    assert (stream.events["t"][0], stream.events["t"][-1]) == (654, 311_175)
    assert stream.duration_us == 311_176
    assert stream.label == -1


def test_a_real_bin_file_of_another_sensor(shared_data: Path) -> None:
    (stream,) = read_events(shared_data / "event_formats" / "ncaltech101_faces_easy_0001.bin", (2, 180, 240))
    assert len(stream) == 67_445
    assert (stream.events["x"].max(), stream.events["y"].max()) == (150, 172)


def test_a_folder_is_read_in_order_with_its_folders_as_labels(tmp_path: Path) -> None:
    for folder in ("3", "0", "other"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "0" / "b.npy", some_events())
    (tmp_path / "0" / "a.bin").write_bytes(bin_bytes(some_events(3)))
    np.save(tmp_path / "3" / "a.npy", some_events(0))
    np.save(tmp_path / "other" / "a.npy", some_events())
    (tmp_path / ".hidden").write_text("nothing")
    streams = read_events(tmp_path, SHAPE)
    assert [stream.label for stream in streams] == [0, 0, 3, -1]
    assert [len(stream) for stream in streams] == [3, 5, 0, 5]
    assert [Path(stream.name).name for stream in streams] == ["a.bin", "b.npy", "a.npy", "a.npy"]


def test_fields_in_another_order_and_a_polarity_are_read(tmp_path: Path) -> None:
    other = np.zeros(2, [("x", "i2"), ("y", "i2"), ("p", "?"), ("t", "<i8")])
    other["t"], other["p"] = (4, 9), (False, True)
    np.save(tmp_path / "e.npy", other)
    (stream,) = read_events(tmp_path / "e.npy", SHAPE)
    assert stream.events["c"].tolist() == [0, 1]


def unsorted() -> np.ndarray:
    return some_events()[::-1].copy()


def outside() -> np.ndarray:
    events = some_events()
    events["x"][2] = 34
    return events


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((4, 4)), "an array of float64 with 2 axes; need"),
        (np.zeros(3, [("t", "i8"), ("x", "i8")]), "fields t, x; need"),
        (np.zeros(3, [("t", "f8"), ("x", "i8"), ("y", "i8"), ("p", "?")]), "field t is of float64; need integers"),
        (unsorted(), "time goes back at event 1, from 40 to 30 us; need events in order of time"),
        (outside(), "event 2 has x = 34 (the largest is 34); need x in 0..33 on a map of 2x34x34"),
        (np.array([{"a": 1}], dtype=object), "not a .npy file of events (Object arrays cannot be loaded"),
    ],
)
def test_a_bad_npy_is_one_sentence(tmp_path: Path, array: np.ndarray, says: str) -> None:
    path = tmp_path / "e.npy"
    np.save(path, array)
    with pytest.raises(InputError) as caught:
        read_events(path, SHAPE)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(caught.value.problems) == 1


@settings(max_examples=150)
@given(st.data())
def test_a_damaged_npy_is_refused_or_read_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "e.npy"
    np.save(path, some_events())
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    with contextlib.suppress(InputError):
        read_events(path, SHAPE)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "0 bytes; need a positive multiple of 5 bytes"),
        (b"1234567", "7 bytes; need a positive multiple of 5 bytes"),
        (bytes([40, 1, 0, 0, 1]), "event 0 has x = 40"),
        (bytes([1, 1, 0, 0, 9, 1, 1, 0, 0, 1]), "time goes back at event 1"),
    ],
)
def test_a_bad_bin_is_one_sentence(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "e.bin").write_bytes(content)
    with pytest.raises(InputError, match=r"e\.bin: ") as caught:
        read_events(tmp_path / "e.bin", SHAPE)
    assert says in str(caught.value)


def test_bad_places(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file or folder; need a \.npy or \.bin file"):
        read_events(tmp_path / "none", SHAPE)
    with pytest.raises(InputError, match="an empty folder; need"):
        read_events(tmp_path, SHAPE)
    (tmp_path / "notes.txt").write_text("t x y c")
    with pytest.raises(InputError, match=r"notes.txt: not an event file; need a .npy or .bin file"):
        read_events(tmp_path / "notes.txt", SHAPE)


def test_all_problems_of_a_folder_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"123")
    np.save(tmp_path / "b.npy", some_events())
    (tmp_path / "c.npy").write_bytes(b"no numpy")
    (tmp_path / "d.csv").write_text("t,x,y,p")
    with pytest.raises(InputError) as caught:
        read_events(tmp_path, SHAPE)
    assert [Path(problem.partition(": ")[0]).name for problem in caught.value.problems] == ["a.bin", "c.npy", "d.csv"]
