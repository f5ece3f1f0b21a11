"""DVS128 Gesture, CIFAR10-DVS and N-Caltech101, on small files in the layout and the formats that tonic unpacks."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.aedat4 import aedat4
from helpers.data_sets import write_cifar10dvs, write_gesture, write_ncaltech101, write_set

from deploytool.base.errors import InputError, RecipeError
from deploytool.data.sets import cifar10dvs, dvsgesture, ncaltech101
from deploytool.data.sets.sources import EVENT_SETS
from deploytool.data.sets.table import load
from deploytool.recipe import DataSection

RECORDED = ("dvsgesture", "cifar10dvs", "ncaltech101")
IN_TONIC = [("dvsgesture", "DVSGesture"), ("cifar10dvs", "CIFAR10DVS"), ("ncaltech101", "NCALTECH101")]


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int64, np.uint32])
@pytest.mark.parametrize("folder", ["DVSGesture", "."])
def test_gesture_is_split_by_people(tmp_path: Path, folder: str, kind: type[np.number]) -> None:
    write_gesture(tmp_path / folder, kind)
    train, test = dvsgesture.parts(str(tmp_path))
    assert train.labels.tolist() == [0, 0, 2, 2, 10, 10]
    assert test.labels.tolist() == [0, 2, 10]
    stream = train[2]
    assert stream.name == "dvsgesture/ibmGestureTrain/user01_fluorescent/2.npy"
    assert (stream.label, stream.shape, stream.duration_us) == (2, (2, 128, 128), 3000)
    assert stream.events.tolist() == [(0, 1, 5, 2), (2000, 0, 6, 127), (2000, 1, 127, 3)]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (np.zeros((3, 3)), r"an array \(3, 3\) of float64"),
        (np.zeros((0, 4)), r"an array \(0, 4\)"),
        (np.array([[0, 0, 0, 0.5]]), "not pixels, polarities or whole milliseconds"),
        (np.array([[0, 0, 0, np.inf]]), "numbers up to inf, down to 0.0; need an array"),
        (np.array([[0, np.nan, 0, 0]]), "numbers up to nan, down to nan; need an array"),
        (np.array([[0, 0, 0, 1e300]]), r"numbers up to 1e\+300, down to 0.0; need an array"),
        (np.array([[0, -1, 0, 0]]), "not pixels, polarities or whole milliseconds"),
        (np.array([[0, 128, 0, 0]]), "event 0 has y = 128"),
        (np.array([[0, 0, 2, 0]]), "event 0 has c = 2"),
        (np.array([["a", "b", "c", "d"]]), "an array"),
        (np.array([[0, 0, 0, None]]), "not a .npy file of events"),
    ],
)
def test_gesture_files_of_another_kind_are_refused(tmp_path: Path, rows: np.ndarray, says: str) -> None:
    write_gesture(tmp_path)
    np.save(tmp_path / "ibmGestureTest" / "user24_led" / "0.npy", rows)
    with pytest.raises(InputError, match=says):
        dvsgesture.parts(str(tmp_path))[1][0]


def test_gesture_names_must_be_classes(tmp_path: Path) -> None:
    write_gesture(tmp_path)
    (tmp_path / "ibmGestureTest" / "user24_led" / "11.npy").touch()
    with pytest.raises(InputError, match=r"11.npy: a file named '11'; need a class, 0 to 10, as name"):
        dvsgesture.parts(str(tmp_path))


def test_cifar10dvs_is_read_and_split_by_hash(tmp_path: Path) -> None:
    pytest.importorskip("aedat")
    write_cifar10dvs(tmp_path / "CIFAR10DVS")
    train, test = cifar10dvs.parts(str(tmp_path))
    assert np.bincount(train.labels).tolist() == [9] * 10
    assert np.bincount(test.labels).tolist() == [1] * 10
    stream = train[0]
    index = int(stream.name.removesuffix(".aedat4").rsplit("_", 1)[1])
    assert stream.name == f"cifar10dvs/airplane/cifar10_airplane_{index}.aedat4"
    assert (stream.label, stream.shape, stream.duration_us) == (0, (2, 128, 128), 251)
    assert stream.events.tolist() == [(0, 1, 127, index), (250, 0, index, 127)]


def test_damaged_and_unreadable_recordings_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aedat")
    write_cifar10dvs(tmp_path)
    train, _ = cifar10dvs.parts(str(tmp_path))
    path = tmp_path / train[0].name.removeprefix("cifar10dvs/")
    for content in (b"", path.read_bytes()[:-9], b"#!AER-DAT3.1\r\n"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{path.name}: cannot be read .*; need an AEDAT4 file with one stream"):
            train[0]
    path.write_bytes(aedat4([]))
    with pytest.raises(InputError, match=f"{path.name}: 0 events in 1 streams; need an AEDAT4 file"):
        train[0]
    monkeypatch.setitem(sys.modules, "aedat", None)
    with pytest.raises(InputError, match=r"aedat, which reads its files, is not installed.*deploytool\[datasets\]"):
        train[0]


def test_real_files_of_both_formats_are_read(shared_data: Path) -> None:
    pytest.importorskip("aedat")
    path = shared_data / "event_formats" / "davis346_sample.aedat4"
    with pytest.raises(InputError, match="on a map of 2x128x128"):
        cifar10dvs._stream(path, 0, "davis")  # of a larger sensor
    photograph = ncaltech101._stream(shared_data / "event_formats" / "ncaltech101_faces_easy_0001.bin", 1, "faces")
    assert len(photograph) == 67445
    assert (photograph.events["x"].max(), photograph.events["y"].max()) == (150, 172)
    assert photograph.duration_us == 320_000


@pytest.mark.parametrize("folder", ["NCALTECH101/Caltech101", "Caltech101", "."])
def test_ncaltech101_is_read_and_split_by_hash(tmp_path: Path, folder: str) -> None:
    write_ncaltech101(tmp_path / folder)
    train, test = ncaltech101.parts(str(tmp_path))
    assert np.bincount(train.labels).tolist() == [9] * 101
    assert np.bincount(test.labels).tolist() == [1] * 101
    stream = test[100]
    index = int(stream.name.removesuffix(".bin").rsplit("_", 1)[1])
    assert stream.name == f"ncaltech101/class_100/image_{index:04d}.bin"
    # The event in row 240 only says that later times are 2**13 us later.
    assert stream.events.tolist() == [(256, 1, 7, index), (272 + 8192, 0, 179, 239)]
    assert (stream.label, stream.shape, stream.duration_us) == (100, (2, 180, 240), 320_000)


@pytest.mark.parametrize(("name", "called"), IN_TONIC)
def test_files_hold_what_tonic_finds_in_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, called: str
) -> None:
    tonic = pytest.importorskip("tonic")
    if name == "cifar10dvs":
        pytest.importorskip("aedat")
    write_set(name, tmp_path)
    kind = getattr(tonic.datasets, called)
    monkeypatch.setattr(kind, "_check_exists", lambda _self: True)
    ours = {sample.name: sample for part in EVENT_SETS[name].parts(str(tmp_path)) for sample in part}
    sets = (
        [kind(str(tmp_path), train=train) for train in (True, False)]
        if called == "DVSGesture"
        else [kind(str(tmp_path))]
    )
    paths = [(Path(path), found, i) for found in sets for i, path in enumerate(found.data)]
    assert len(paths) == len(ours)
    for path, found, i in paths[:: max(1, len(paths) // 20)]:
        events, label = found[i]
        sample = ours[f"{name}/{path.relative_to(found.location_on_system).as_posix().removeprefix('Caltech101/')}"]
        assert sample.label == (sorted({*found.targets}).index(label) if name == "ncaltech101" else label)
        for axis, column in (("t", "t"), ("c", "p"), ("y", "y"), ("x", "x")):
            # Where ours keep the sensor's coordinates or begin at 0 us, tonic's do not.
            theirs = events[column].astype(np.int64)
            moved = (axis in "yx" and name == "ncaltech101") or (axis == "t" and name != "ncaltech101")
            own = sample.events[axis].astype(np.int64)
            assert np.array_equal(own - own.min() * moved, theirs - theirs.min() * moved)


@pytest.mark.parametrize("name", RECORDED)
def test_samples_do_not_depend_on_where_and_in_which_order_files_lie(tmp_path: Path, name: str) -> None:
    prints, names = set(), []
    for root in (tmp_path / "one", tmp_path / "other"):
        write_set(name, root)
        prints.add(EVENT_SETS[name].fingerprint(str(root)))
        train, test = EVENT_SETS[name].parts(str(root))
        if name != "cifar10dvs" or importlib.util.find_spec("aedat"):
            names.append([sample.name for part in (train, test) for sample in part])
    assert len(prints) == 1
    assert names[:1] == names[1:]
    file = next(path for path in sorted((tmp_path / "other").rglob("*.*")) if path.is_file())
    file.write_bytes(file.read_bytes() + bytes(5))
    assert EVENT_SETS[name].fingerprint(str(tmp_path / "other")) not in prints


@pytest.mark.parametrize("name", RECORDED)
def test_what_is_not_on_disk_is_one_sentence_that_says_where_it_comes_from(tmp_path: Path, name: str) -> None:
    source = EVENT_SETS[name]
    for function in (source.parts, source.fingerprint):
        with pytest.raises(
            RecipeError,
            match=rf"data.root: missing for the set {name}, and no {name} in ./data; need the folder that holds",
        ):
            function(None)
        with pytest.raises(
            InputError, match=r"no such folder; need .* or get it: --download, .* through tonic.datasets.\w+ into"
        ):
            function(str(tmp_path / "none"))
        with pytest.raises(InputError, match=f"no {name} in this folder; need the folder that holds"):
            function(str(tmp_path))


def test_a_part_of_a_set_is_refused(tmp_path: Path) -> None:
    write_gesture(tmp_path / "gesture")
    (tmp_path / "gesture" / "ibmGestureTest").rename(tmp_path / "moved")
    with pytest.raises(
        InputError, match="gesture: no ibmGestureTest; need the folder that holds DVSGesture/ibmGestureTrain"
    ):
        dvsgesture.parts(str(tmp_path / "gesture"))
    (tmp_path / "gesture" / "ibmGestureTest").mkdir()
    with pytest.raises(InputError, match=r"ibmGestureTest: no .npy files"):
        dvsgesture.parts(str(tmp_path / "gesture"))
    write_ncaltech101(tmp_path / "caltech", 1)
    (tmp_path / "caltech" / "class_007" / "image_0000.bin").unlink()
    with pytest.raises(InputError, match=r"no .bin files in class_007; need .bin files of every class"):
        ncaltech101.parts(str(tmp_path / "caltech"))
    (tmp_path / "caltech" / "class_007").rmdir()
    with pytest.raises(InputError, match="100 folders; need one for each of the 101 classes"):
        ncaltech101.parts(str(tmp_path / "caltech"))


def test_a_recipe_scales_and_shortens_recordings(tmp_path: Path) -> None:
    write_gesture(tmp_path)
    spec = DataSection(set="dvsgesture", root=str(tmp_path), size=(32, 48), duration_ms=2, validation=0.4)
    dataset = load(spec, seed=0)
    assert dataset.shape == (2, 32, 48)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (4, 2, 3)
    stream = dataset.test[1]
    assert (stream.shape, stream.duration_us) == ((2, 32, 48), 2000)
    assert stream.events.tolist() == [(0, 1, 5 * 32 // 128, 2 * 48 // 128)]
