import contextlib
from pathlib import Path

import numpy as np
import pytest
from helpers import event_files
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.base.errors import InputError
from deploytool.data.formats.files import file_events
from deploytool.data.formats.reading import AT_CLOCK, Reading
from deploytool.data.recordings.chosen import Asked, chosen_folder, read_events
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
    for axis, limit in (("c", 2), ("y", 240), ("x", 256)):
        events[axis] = rng.integers(0, limit, count)
    path = tmp_path_factory.mktemp("bin") / "sample.bin"
    path.write_bytes(bin_bytes(events))
    assert np.array_equal(file_events(path, "bin", (2, 240, 256), AT_CLOCK), events)


def test_a_real_bin_file(shared_data: Path) -> None:
    (stream,) = read_events(shared_data / "event_formats" / "nmnist_sample.bin", SHAPE)
    assert len(stream) == 4325
    assert (stream.events["t"][0], stream.events["t"][-1]) == (0, 311_175 - 654)
    assert stream.duration_us == 311_176 - 654
    assert stream.label == -1
    (stream,) = read_events(shared_data / "event_formats" / "nmnist_sample.bin", SHAPE, Asked(AT_CLOCK))
    assert (stream.events["t"][0], stream.duration_us) == (654, 311_176)


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
        (np.zeros((4, 4)), "an array (4, 4) of float64; need the order of its columns"),
        (np.zeros(3, [("t", "i8"), ("x", "i8")]), "fields t, x; need"),
        (
            np.full(3, 0.5, [("t", "f8"), ("x", "i8"), ("y", "i8"), ("p", "?")]),
            "times with fractions, 0.5 to 0.5; need",
        ),
        (unsorted(), "time goes back at event 1, from 40 to 30 us; need events in order of time"),
        (outside(), "event 2 has x = 34 (the largest is 34); need x in 0..33 on a map of 2x34x34"),
        (np.array([{"a": 1}], dtype=object), "not a .npy file of events (pickled objects)"),
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
    with pytest.raises(InputError, match=r"no such file or folder; need a file of events, or a folder of them"):
        read_events(tmp_path / "none", SHAPE)
    with pytest.raises(InputError, match="an empty folder; need"):
        read_events(tmp_path, SHAPE)
    (tmp_path / "notes.txt").write_text("a good day")
    with pytest.raises(InputError, match=r"a folder with no event file \(1 file, notes.txt\); need one of numpy .npy"):
        read_events(tmp_path, SHAPE)
    with pytest.raises(
        InputError, match=r"notes.txt: its content is not an event file; need one of numpy .npy \(.npy\),"
    ):
        read_events(tmp_path / "notes.txt", SHAPE)


def test_all_problems_of_a_folder_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"123")
    np.save(tmp_path / "b.npy", some_events())
    (tmp_path / "c.npy").write_bytes(b"no numpy")
    (tmp_path / "d.csv").write_text("t,x,y,p\n1,2,3")
    with pytest.raises(InputError) as caught:
        read_events(tmp_path, SHAPE)
    places = [Path(problem.partition(": ")[0]).name for problem in caught.value.problems]
    assert sorted(places) == ["a.bin", "c.npy", "d.csv"]


def said(path: Path, shape: tuple[int, int, int] = SHAPE, **options: object) -> list[str]:
    lines: list[str] = []
    read_events(path, shape, Asked(Reading(**options)), lines.append)
    return lines


def test_nothing_is_said_of_recordings_as_they_should_be(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", some_events())
    assert said(tmp_path / "a.npy") == []


def test_a_late_beginning_is_told(tmp_path: Path) -> None:
    events = some_events()
    events["t"] += 60_000_139
    np.save(tmp_path / "a.npy", events)
    assert said(tmp_path / "a.npy") == [
        "a.npy begins at its first event, 60,000,139 us after the clock's zero, which --absolute-time keeps."
    ]
    assert said(tmp_path / "a.npy", absolute_time=True) == []
    events["t"] += 1_700_000_000 * 10**6
    np.save(tmp_path / "b.npy", events)
    (line,) = said(tmp_path)
    assert line.startswith("2 recordings begin at their first events, up to 1,700,000,060,000,139 us after the clock's")
    assert line.endswith("which is 2023-11-14 22:14:20 UTC as a time since 1970.")


def test_a_recording_is_the_same_whatever_the_clock_showed(tmp_path: Path) -> None:
    events = some_events()
    np.save(tmp_path / "early.npy", events)
    events["t"] += 60_000_000
    np.save(tmp_path / "late.npy", events)
    early, late = read_events(tmp_path, SHAPE)
    assert np.array_equal(early.events, late.events)
    assert early.duration_us == late.duration_us == 41
    (kept,) = read_events(tmp_path / "late.npy", SHAPE, Asked(AT_CLOCK))
    assert (kept.events["t"][0], kept.duration_us) == (60_000_000, 60_000_041)


def test_both_polarities_are_merged_for_one_input_feature_and_told_once(tmp_path: Path) -> None:
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", some_events())
    assert said(tmp_path, (1, 34, 34)) == ["ON and OFF events are merged: the network has one input feature."]
    assert all(not stream.events["c"].any() for stream in read_events(tmp_path, (1, 34, 34)))


def test_more_features_than_the_networks_are_refused_with_a_way_out(tmp_path: Path) -> None:
    events = some_events()
    events["c"][3] = 2
    np.save(tmp_path / "a.npy", events)
    for features in (1, 2):
        with pytest.raises(
            InputError, match=r"has c = \d .*need c in 0\.\.\d .* Give the network as many input features"
        ):
            read_events(tmp_path / "a.npy", (features, 34, 34))


def test_a_clock_that_ran_over_is_unwrapped_and_told(tmp_path: Path) -> None:
    events = some_events()
    events["t"] = (events["t"] + 2**32 - 15) % 2**32
    np.save(tmp_path / "a.npy", events)
    with pytest.raises(InputError, match=r"from 4294967291 to 5 us, as when a 32-bit clock overflows; .* Add --unwrap"):
        read_events(tmp_path / "a.npy", SHAPE)
    lines = said(tmp_path / "a.npy", unwrap=True)
    assert lines[-1] == "Unwrapped 1 overflow of a 32-bit clock in 1 of 1 files."
    (stream,) = read_events(tmp_path / "a.npy", SHAPE, Asked(Reading(unwrap=True)))
    assert stream.events["t"].tolist() == [0, 10, 20, 30, 40]
    np.save(tmp_path / "b.npy", some_events())
    assert said(tmp_path / "b.npy", unwrap=True) == ["--unwrap had no effect: no clock overflowed."]


def test_sorting_is_advised_only_where_it_is_right(tmp_path: Path) -> None:
    events = some_events()
    events["t"] = [0, 20, 10, 30, 40]
    np.save(tmp_path / "a.npy", events)
    with pytest.raises(InputError, match=r"from 20 to 10 us; need events in order of time\. Sort them"):
        read_events(tmp_path / "a.npy", SHAPE)
    np.save(tmp_path / "a.npy", np.random.default_rng(0).permutation(some_events(30)[::-1]))
    with pytest.raises(InputError, match="Sort them"):
        read_events(tmp_path / "a.npy", SHAPE)
    mixed = some_events(30)
    mixed["t"] = np.random.default_rng(0).permutation(30) * 10**6
    np.save(tmp_path / "a.npy", mixed)
    with pytest.raises(InputError, match="Sort them"):
        read_events(tmp_path / "a.npy", SHAPE)
    events["t"] = [0, 20, 7_000_000, 30, 40]
    np.save(tmp_path / "a.npy", events)
    with pytest.raises(
        InputError, match="Time goes back by up to 6999970 us: cut the file where the clock was reset or where"
    ):
        read_events(tmp_path / "a.npy", SHAPE)


def test_files_that_are_not_recordings_are_ignored_with_a_note(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", some_events())
    for name in ("README.md", "labels.json", "notes.txt", "photo.png"):
        (tmp_path / name).write_bytes(b"# words\n\nand more of them\n")
    assert said(tmp_path) == [
        "Ignored, because they are not recordings: 4 files, README.md, labels.json, notes.txt, ...."
    ]
    assert len(read_events(tmp_path, SHAPE)) == 1


def test_folders_that_are_no_labels_are_told(tmp_path: Path) -> None:
    for folder in ("cats", "dogs"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "a.npy", some_events())
    assert said(tmp_path) == [
        "No labels for recordings in cats, dogs: "
        "the network does not name its classes, and only a name that is a number states one."
    ]


def test_formats_may_be_mixed_in_a_folder(tmp_path: Path) -> None:
    rows = [(0, 1, 2, 1), (30, 3, 4, 0)]
    (tmp_path / "a.raw").write_bytes(event_files.evt3(rows))
    (tmp_path / "b.raw").write_bytes(event_files.evt2(rows))
    (tmp_path / "c.dat").write_bytes(event_files.dat(rows))
    (tmp_path / "d.bin").write_bytes(event_files.nbin(rows))
    (tmp_path / "e.csv").write_text("t,x,y,p\n" + "".join(f"{t},{x},{y},{p}\n" for t, x, y, p in rows))
    for stream in read_events(tmp_path, SHAPE):
        assert [(t, x, y, c) for t, c, y, x in stream.events.tolist()] == rows


def test_the_fingerprint_follows_the_recordings_and_not_their_place(tmp_path: Path) -> None:
    for place in ("one", "other"):
        (tmp_path / place).mkdir()
        np.save(tmp_path / place / "a.npy", some_events())
    one = chosen_folder(tmp_path / "one").fingerprint
    assert one == chosen_folder(tmp_path / "other").fingerprint
    (tmp_path / "other" / "notes.txt").write_text("no recording")
    assert one == chosen_folder(tmp_path / "other").fingerprint
    np.save(tmp_path / "other" / "a.npy", some_events(6))
    assert one != chosen_folder(tmp_path / "other").fingerprint
    assert chosen_folder(tmp_path / "one" / "a.npy").fingerprint == one


@pytest.mark.parametrize("held", [0, 4, 5, 100])
def test_a_large_folder_is_read_again_when_its_events_are_needed(tmp_path: Path, held: int) -> None:
    for index in range(3):
        folder = tmp_path / str(index)
        folder.mkdir()
        events = np.zeros(2 + index, EVENT)
        events["t"] = np.arange(2 + index) * 10
        np.save(folder / "e.npy", events)
    streams = read_events(tmp_path, SHAPE, held=held)
    assert streams.labels.tolist() == [0, 1, 2]
    for _ in range(2):
        assert [len(stream) for stream in streams] == [2, 3, 4]
    (tmp_path / "0" / "e.npy").rename(tmp_path / "elsewhere.npy")
    if held >= 2:
        assert len(streams[0]) == 2
    else:
        with pytest.raises(InputError, match=r"e\.npy"):
            streams[0]
    (tmp_path / "2" / "e.npy").unlink()
    if held < 9:
        with pytest.raises(InputError, match=r"e\.npy"):
            streams[2]
