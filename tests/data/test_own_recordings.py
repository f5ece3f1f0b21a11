"""The data set of a user's own recordings: layouts, classes, splits, windows, cameras, and what is refused."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import event_files
from helpers.own_recordings import NAMES, recording, rows, write, write_classes

from deploytool.base.errors import InputError, RecipeError
from deploytool.data.recordings.chosen import Asked, read_events
from deploytool.data.recordings.excerpts import sizes
from deploytool.data.sets.events import own
from deploytool.data.sets.table import Dataset, fingerprint, load_events, load_tests, promised
from deploytool.ir.events import EventStream
from deploytool.recipe import DataSection

PARTS = ("train", "validation", "test")


def section(root: Path, **keys: Any) -> DataSection:
    return DataSection.model_validate({"set": "events", "root": str(root), "sensor": [12, 12], **keys})


def names(data: Dataset[EventStream]) -> Mapping[str, list[str]]:
    return {part: [stream.name for stream in getattr(data, part)] for part in PARTS}


def recordings_of(found: list[str]) -> set[str]:
    return {name.partition("@")[0] for name in found}


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three class folders with ten recordings each, in mixed formats."""
    return write_classes(tmp_path_factory.mktemp("classes"), 10)


def test_class_folders_are_split_by_a_hash_of_the_names(classes: Path) -> None:
    data = load_events(section(classes), 0)
    assert (data.names, data.classes, data.shape) == (NAMES, 3, (2, 12, 12))
    assert [len(getattr(data, part)) for part in PARTS] == [22, 2, 6]
    assert np.bincount(data.test.labels).tolist() == [2, 2, 2]
    assert len(set().union(*names(data).values())) == 30
    for stream in itertools.chain(data.train, data.validation, data.test):
        name = stream.name.split("/")
        assert (name[0], NAMES[stream.label]) == ("events", name[1])
        assert np.array_equal(stream.events, recording(int(Path(name[2]).stem[3:]), stream.label))
    assert names(load_events(section(classes, test_share=0.5), 0))["test"] != names(data)["test"]
    assert len(load_events(section(classes, test_share=0.5), 0).test) == 15


def test_the_test_part_alone_is_the_same(classes: Path) -> None:
    spec = section(classes, window_ms=10, crop=[4, 4], test_samples=7)
    alone, data = load_tests(spec), load_events(spec, 0)
    assert [stream.name for stream in alone] == [stream.name for stream in data.test]
    assert all(np.array_equal(one.events, other.events) for one, other in zip(alone, data.test, strict=True))


def test_folders_of_parts_are_the_split(tmp_path: Path) -> None:
    for first, (part, each) in enumerate({"Train": 4, "TEST": 2, "validation": 1}.items()):
        write_classes(tmp_path / part, each, first=10 * first)
    data = load_events(section(tmp_path), 0)
    assert [len(getattr(data, part)) for part in PARTS] == [12, 3, 6]
    for part, folder in zip(PARTS, ("Train", "validation", "TEST"), strict=True):
        assert all(name.startswith(f"events/{folder}/") for name in names(data)[part])
    hashed = load_events(section(tmp_path, split="names"), 0)
    assert sum(len(getattr(hashed, part)) for part in PARTS) == 21
    assert hashed.names == NAMES


def test_a_folder_of_training_recordings_alone_is_refused_with_a_way_out(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", 3)
    with pytest.raises(InputError, match=r'no recordings for test; need some .* Set data\.split = "names"'):
        load_events(section(tmp_path), 0)


def test_a_table_splits_and_what_it_does_not_name_is_told(tmp_path: Path) -> None:
    write_classes(tmp_path, 4)
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("rec*"))
    parts = ["train", "train", "test", "validation"] * 3
    lines = [f"{name},{part}" for name, part in zip(found[:-1], parts[:-1], strict=True)]
    (tmp_path / "splits.csv").write_text("file,part\n" + "\n".join(lines))
    spec = section(tmp_path)
    data = load_events(spec, 0)
    assert names(data)["test"] == [f"events/{name}" for name in found if name.partition("rec")[2][:3] == "002"]
    assert [len(getattr(data, part)) for part in PARTS] == [6, 2, 3]
    assert data.notes == (f"Not used, because they are in no part, by splits.csv: {found[-1]} (1 file).",)
    assert len(load_events(section(tmp_path, split="names"), 0).test) == 3


def test_a_list_names_the_tests_also_by_folders(tmp_path: Path) -> None:
    for person in ("ann", "bob", "eve"):
        for number, name in enumerate(NAMES):
            write(tmp_path / name / person / "1", recording(0, number), number)
    (tmp_path / "test.txt").write_text("# two files, and all of eve in one class\ndown/ann/1.bin\n\nup/eve\n")
    data = load_events(section(tmp_path, split="test.txt"), 0)
    assert names(data)["test"] == ["events/down/ann/1.bin", "events/up/eve/1.dat"]
    assert data.test.labels.tolist() == [0, 2]
    (tmp_path / "test.txt").write_text("down/ann/2.bin\n")
    with pytest.raises(InputError, match=r"test.txt: names 1 that are no recordings .*: down/ann/2.bin; need files"):
        load_events(section(tmp_path, split="test.txt"), 0)


def test_labels_and_spans_of_a_label_file(tmp_path: Path) -> None:
    for index in range(6):
        write(tmp_path / f"r{index}", recording(index, index % 3), index)
    files = sorted(path.name for path in tmp_path.iterdir())
    spans = [f"{name},0,15,clap\n{name},20,44.5,wave" for name in files]
    (tmp_path / "labels.csv").write_text("file,start_ms,end_ms,label\n" + "\n".join(spans))
    data = load_events(section(tmp_path, test_share=0.4), 0)
    assert data.names == ("clap", "wave")
    for part in PARTS:
        found = names(data)[part]
        assert found == [f"{name}@{span}" for name in sorted(recordings_of(found)) for span in ("0-15ms", "20-44.5ms")]
    first = data.train[1]
    whole = recording(int(first.name[8]), int(first.name[8]) % 3)
    part = whole[(whole["t"] >= 20_000) & (whole["t"] < 44_500)]
    assert (first.label, first.duration_us) == (1, 24_500)
    assert np.array_equal(first.events["t"], part["t"] - 20_000)
    (tmp_path / "labels.csv").write_text("file,start_ms,end_ms,label\n" + spans[0] + f"\n{files[0]},900,901,wave\n")
    with pytest.raises(InputError, match=r"recordings without a class: r1"):
        load_events(section(tmp_path), 0)


def test_a_label_file_lies_in_the_folder_of_a_part_too(tmp_path: Path) -> None:
    for part in ("train", "test"):
        lines = [
            f"{write(tmp_path / part / f'r{index}', recording(index, index % 2)).name},{'ab'[index % 2]}"
            for index in range(4)
        ]
        (tmp_path / part / "labels.csv").write_text("file,label\n" + "\n".join(lines))
    data = load_events(section(tmp_path), 0)
    assert (data.names, data.test.labels.tolist()) == (("a", "b"), [0, 1, 0, 1])
    (tmp_path / "test" / "labels.csv").write_text("file,label\nr9.npy,a\n")
    with pytest.raises(InputError, match=r"labels.csv: names 1 file that are no recordings: test/r9.npy"):
        load_events(section(tmp_path), 0)


def test_a_span_after_the_end_of_its_recording_is_refused(tmp_path: Path) -> None:
    for index in range(6):
        write(tmp_path / f"r{index}", recording(index, 0))
    lines = [f"r{index}.npy,{60 * (index == 5)},{60 * (index == 5) + 10},{'ab'[index % 2]}" for index in range(6)]
    (tmp_path / "labels.csv").write_text("file,start_ms,end_ms,label\n" + "\n".join(lines))
    with pytest.raises(InputError, match=r"r5.npy: a span from 60 ms on, of a recording of 49\.\d+ ms; need a span in"):
        load_events(section(tmp_path), 0)


@pytest.mark.parametrize("keys", [{}, {"split": "splits.csv"}])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_windows_of_one_recording_are_on_one_side_of_every_split(tmp_path: Path, keys: Any, seed: int) -> None:
    write_classes(tmp_path, 6)
    if keys:
        found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("rec*"))
        lines = [f"{name},{'test' if index % 3 == 0 else 'train'}" for index, name in enumerate(found)]
        (tmp_path / "splits.csv").write_text("file,part\n" + "\n".join(lines))
    data = load_events(section(tmp_path, window_ms=12, stride_ms=6, validation=0.3, **keys), seed)
    parts = {part: recordings_of(found) for part, found in names(data).items()}
    assert all(parts.values())
    assert sum(map(len, parts.values())) == len(set().union(*parts.values())) == 18
    assert len(data.train) == 7 * len(parts["train"])


@pytest.mark.parametrize("keys", [{}, {"window_ms": 12}, {"window_ms": 12, "stride_ms": 5}])
@pytest.mark.parametrize("spans", [False, True])
def test_sizes_are_those_of_the_samples(tmp_path: Path, keys: Any, spans: bool) -> None:
    write_classes(tmp_path, 4)
    if spans:
        found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("rec*"))
        lines = [f"{name},{3 + 7 * half},{(30, 33)[half]},{name[:2]}" for name in found for half in (0, 1)]
        (tmp_path / "labels.csv").write_text("file,start_ms,end_ms,label\n" + "\n".join(lines))
    mine = own(section(tmp_path, **keys))
    for part, samples in mine.parts(PARTS).items():
        events, durations_us = sizes(mine.cut(part).recordings, mine.cut(part).excerpts)
        assert events.tolist() == [len(stream) for stream in samples]
        assert durations_us.tolist() == [stream.duration_us for stream in samples]


def test_windows_are_complete_and_what_is_left_out_is_told(tmp_path: Path) -> None:
    write_classes(tmp_path, 5)
    write(tmp_path / NAMES[0] / "short", recording(0, 0, duration_us=10_000))
    spec = section(tmp_path, window_ms=20, stride_ms=15)
    data = load_events(spec, 0)
    for stream in itertools.chain(data.train, data.test):
        index, start_ms = int(stream.name.split("rec")[1][:3]), float(stream.name.split("@")[1].partition("-")[0])
        whole = recording(index, stream.label)
        inside = whole[(whole["t"] >= start_ms * 1000) & (whole["t"] < (start_ms + 20) * 1000)]
        assert np.array_equal(stream.events["t"], inside["t"] - round(start_ms * 1000))
        assert stream.duration_us == 20_000
        assert start_ms in (0, 15)
    said = " ".join(data.notes)
    assert "the last windows of 15 recordings or spans." in said
    assert "Not used, because they are shorter than a window of 20 ms: down/short.npy (1 in all)." in said
    with pytest.raises(InputError, match=r"shorter than a window of 60 ms: .*; need longer recordings, or shorter"):
        load_events(section(tmp_path, window_ms=60), 0)


def test_the_camera_is_the_one_that_files_state(tmp_path: Path) -> None:
    head = "% Data file containing CD events.\n% Version 2\n% Height {}\n% Width {}\n"
    for number, name in enumerate(("a", "b")):
        for index in range(4):
            file = tmp_path / name / f"{index}.dat"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(event_files.dat(rows(recording(index, number)), head.format(16, 20)))
    spec = DataSection(set="events", root=str(tmp_path))
    assert promised(spec).shape == load_events(spec, 0).shape == (2, 16, 20)
    (tmp_path / "b" / "3.dat").write_bytes(event_files.dat(rows(recording(3, 1)), head.format(32, 20)))
    with pytest.raises(
        InputError, match=r"3.dat: a recording of a camera of 32x20 pixels; need one of 16x20\. .*sensor"
    ):
        load_events(spec, 0)
    assert load_events(section(tmp_path), 0).shape == (2, 12, 12)


def test_without_a_stated_camera_the_recipe_must_state_it(classes: Path) -> None:
    spec = DataSection(set="events", root=str(classes))
    for ask in (promised, lambda spec: load_events(spec, 0)):
        with pytest.raises(RecipeError, match=r"data.sensor: missing, and .* set data.sensor = \[12, 12\], or more"):
            ask(spec)


def test_samples_go_through_the_steps(classes: Path) -> None:
    spec = section(classes, crop=[0, 2, 8, 8], pool=2, polarity="merge", duration_ms=20)
    data = load_events(spec, 0)
    assert data.shape == promised(spec).shape == data.test[0].shape == (1, 4, 4)
    assert data.test[0].duration_us == 20_000


def test_the_fingerprint_follows_the_content_and_not_the_place(tmp_path: Path) -> None:
    one, other = (write_classes(tmp_path / place, 3) for place in ("one", "other"))
    before = fingerprint(section(one), 0)
    assert fingerprint(section(other), 0) == before
    (other / "notes.txt").write_text("nothing of importance")
    assert fingerprint(section(other), 0) == before
    file = other / NAMES[0] / "rec001.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert fingerprint(section(other), 0) != before
    np.save(file, recording(1, 0))
    assert fingerprint(section(other), 0) == before
    lines = "".join(f"{path.relative_to(other).as_posix()},x\n" for path in sorted(other.rglob("rec00[12]*")))
    (other / "labels.csv").write_text(f"file,label\n{lines}")
    assert fingerprint(section(other), 0) != before
    assert fingerprint(section(one, window_ms=5), 0) != before


def test_refusals_are_one_sentence(tmp_path: Path) -> None:
    for root, says in (
        (None, "data.root: missing for the set events; need the folder of your recordings. Lay it out as train/CLASS"),
        (tmp_path / "none", "none: no such folder; need the folder of your recordings. Lay it out as train/CLASS"),
        (tmp_path, "an empty folder; need one of numpy"),
    ):
        with pytest.raises((RecipeError, InputError)) as caught:
            load_events(DataSection(set="events", root=None if root is None else str(root)), 0)
        assert says in str(caught.value)
        assert len(caught.value.problems) == 1
    write_classes(tmp_path, 4, names=["only"])
    with pytest.raises(InputError, match="one class, only; need at least two"):
        load_events(section(tmp_path), 0)
    write(tmp_path / "bare", recording(0, 0))
    with pytest.raises(InputError, match=r"1 recording without a class: bare\.npy; need a folder for each class, or"):
        load_events(section(tmp_path), 0)
    (tmp_path / "bare.npy").unlink()
    write_classes(tmp_path, 4)
    with pytest.raises(RecipeError, match=r"data.split: found 'mine.csv', which is no file there; need folders, names"):
        load_events(section(tmp_path, split="mine.csv"), 0)
    with pytest.raises(InputError, match=r"no recordings for train and test; need some for training and some"):
        load_events(section(tmp_path, split="folders"), 0)
    (tmp_path / "splits.csv").write_text("file,part\nonly,training\n")
    with pytest.raises(InputError, match=r"line 2: the part 'training'; need train, validation or test"):
        load_events(section(tmp_path), 0)
    with pytest.raises(
        RecipeError, match=r"data.test_share: found 0.3, but splits.csv split the recordings; need none"
    ):
        load_events(section(tmp_path, test_share=0.3), 0)


def test_files_that_are_no_recordings_are_told(classes: Path, tmp_path: Path) -> None:
    write_classes(tmp_path, 4)
    (tmp_path / "README.md").write_text("# Mine\n")
    found = load_events(section(tmp_path), 0).notes
    assert found == ("Ignored, because they are no recordings: README.md (1 file).",)
    assert load_events(section(classes), 0).notes == ()


def test_a_folder_is_looked_through_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deploytool.data.recordings import content
    from deploytool.data.sets import events

    monkeypatch.setattr(content, "RACY_NS", 0)
    spec = section(write_classes(tmp_path, 4))
    found = events.own(spec)
    assert events.own(spec) is found
    write(tmp_path / NAMES[0] / "more", recording(9, 0))
    again = events.own(spec)
    assert len(again.folder.files) == 13
    (tmp_path / NAMES[0] / "more.npy").unlink()
    assert len(events.own(spec).folder.files) == 12
    before = events.own(spec)
    np.save(tmp_path / NAMES[0] / "rec001.npy", recording(7, 0))
    assert events.own(spec) is not before


def with_values(root: Path, header: str, row: str, count: int = 12) -> Path:
    root.mkdir()
    for number in range(count):
        write(root / f"{number:02}.npy", recording(number, number % 3))
    lines = [header, *(row.format(f"{n:02}.npy", n / 2, -n) for n in range(count))]
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


def test_a_label_file_may_state_values_instead_of_classes(tmp_path: Path) -> None:
    root = with_values(tmp_path / "values", "file,speed,angle", "{0},{1},{2}")
    data = load_events(section(root, validation=0.2), 0)
    assert (data.values, data.classes, data.names) == (("speed", "angle"), 0, ())
    assert promised(section(root)).values == ("speed", "angle")
    found = [stream for part in (data.train, data.validation, data.test) for stream in part]
    assert len(found) == 12
    for stream in found:
        number = int(Path(stream.name).stem)
        assert stream.label == -1
        assert stream.targets is not None
        assert stream.targets.tolist() == [[number / 2, -number]]


def test_windows_of_a_span_have_its_values(tmp_path: Path) -> None:
    root = with_values(tmp_path / "values", "file,start_ms,end_ms,speed", "{0},0,20,{1}\n{0},20,40,{2}")
    data = load_events(section(root, window_ms=10.0), 0)
    for stream in data.test:
        name, _, span = stream.name.partition("@")
        number, start_ms = int(Path(name).stem), float(span.split("-")[0])
        assert stream.targets is not None
        assert stream.targets.tolist() == [[number / 2 if start_ms < 20 else -number]]


@pytest.mark.parametrize(
    ("header", "row", "says"),
    [
        ("file,speed", "{0},fast", "speed is 'fast'; need a number"),
        ("file,speed", "{0},nan", "speed is 'nan'; need a number"),
        ("file,speed,speed", "{0},1,2", "begins with 'file,speed,speed'; need file,label or"),
        ("file,start_ms,speed", "{0},1,2", "begins with 'file,start_ms,speed'; need file,label or"),
        ("file,speed,end_ms", "{0},1,2", "begins with 'file,speed,end_ms'; need file,label or"),
        ("file,label,speed", "{0},a,2", "begins with 'file,label,speed'; need file,label or"),
    ],
)
def test_values_that_are_none_are_refused(tmp_path: Path, header: str, row: str, says: str) -> None:
    root = with_values(tmp_path / "values", header, row)
    with pytest.raises(InputError, match=says):
        load_events(section(root), 0)


def test_recordings_without_the_values_of_others_are_refused(tmp_path: Path) -> None:
    root = with_values(tmp_path / "values", "file,speed", "{0},{1}")
    write(root / "extra.npy", recording(99, 0))
    with pytest.raises(InputError, match=r"1 recordings without these values: extra\.npy; need speed of all"):
        load_events(section(root), 0)
    with pytest.raises(InputError, match=r"1 recordings without these values: extra\.npy; need speed of all"):
        read_events(root, (2, 12, 12), Asked(spec=section(root)))


def test_more_windows_than_memory_has_room_for_are_refused(tmp_path: Path) -> None:
    write_classes(tmp_path, 2)
    first = min(tmp_path.rglob("*.bin")).relative_to(tmp_path).as_posix()
    (tmp_path / "labels.csv").write_text(f"file,start_ms,end_ms,label\n{first},0,1e12,up\n", encoding="utf-8")
    others = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("rec*"))]
    with (tmp_path / "labels.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"{name},0,10,{name.split('/')[0]}\n" for name in others)
    found = own(section(tmp_path, window_ms=0.5, split="names"))
    with pytest.raises(InputError, match=f"{first}: 2,000,000,000,000 windows up to its end; need at most 10,000,000"):
        found.parts(PARTS)
