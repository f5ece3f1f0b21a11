"""numpy files of spikes and counts, and AEDAT4."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.foreign import SAMPLES, read, spikes, write

from deploytool.base.errors import DeployError, InputError
from deploytool.data.spikes.samples import Samples
from deploytool.ir.recording import SPIKE

CONV = np.arange(48).reshape(2, 4, 2, 3)
FC = np.array([[1, 0, 2], [0, 0, 5]])
FIRED = np.array([(0, 5, 1, 1, 2), (1, 3, 0, 0, 1)], [(name, "i4") for name in ("sample", "t_us", "c", "y", "x")])


def saved(folder: Path, arrays: dict[str, Any] | np.ndarray, name: str = "file.npz") -> Path:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays) if isinstance(arrays, dict) else np.save(buffer, arrays)
    return write(folder, buffer.getvalue(), name)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble, np.uint64, np.int8])
def test_an_array_of_counts_for_each_layer(tmp_path: Path, kind: type[np.number]) -> None:
    found = read(saved(tmp_path, {"relu": CONV.astype(np.uint8), "counts/fc": FC.astype(kind)}))
    assert np.array_equal(found.counts["conv"], CONV)
    assert np.array_equal(found.counts["fc"][:, :, 0, 0], FC)
    assert found.samples == SAMPLES.names
    assert found.outputs == ("fc",)


def test_parts_of_a_layer_are_put_together_by_core(tmp_path: Path) -> None:
    found = read(saved(tmp_path, {"5": CONV[:, 2:], "3": CONV[:, :2]}))
    assert np.array_equal(found.counts["conv"], CONV)


def test_structured_arrays_are_spikes_with_or_without_a_layer(tmp_path: Path) -> None:
    found = read(saved(tmp_path, {"spikes/conv": FIRED}))
    assert found.spikes["conv"].tolist() == spikes((0, 5, 1, 1, 2), (1, 3, 0, 0, 1))
    kinds = [("layer", "i8"), ("feature", "u1"), ("timestamp", "u4"), ("y", "u1"), ("x", "u1"), ("sample", "U9")]
    driver = np.array([(5, 1, 9, 1, 2, "b"), (3, 1, 8, 0, 0, "set/a")], kinds)
    found = read(saved(tmp_path, driver, "file.npy"))
    assert found.spikes["conv"].tolist() == spikes((0, 8, 1, 0, 0), (1, 9, 3, 1, 2))


def test_spikes_of_some_samples_and_counts_of_all(tmp_path: Path) -> None:
    counts = np.zeros((2, 4, 2, 3), int)
    counts[0, 1, 1, 2], counts[1, 3, 0, 0] = 1, 9
    found = read(saved(tmp_path, {"counts/conv": counts, "spikes/conv": FIRED[:1]}))
    assert np.array_equal(found.counts["conv"], counts)
    assert len(found.spikes["conv"]) == 1
    with pytest.raises(
        InputError, match="sample 1, layer conv: 1 spikes, and counts of 9 spikes; need counts of these"
    ):
        read(saved(tmp_path, {"counts/conv": counts, "spikes/conv": FIRED}))


def test_a_single_array_has_the_stated_layer(tmp_path: Path) -> None:
    found = read(saved(tmp_path, CONV, "file.npy"), None, layer="conv")
    assert (found.samples, found.counts["conv"].sum()) == (("0", "1"), CONV.sum())
    assert read(saved(tmp_path, FIRED, "file.npy"), layer="5").spikes["conv"]["c"].tolist() == [3, 2]


def test_an_archive_may_describe_its_samples(tmp_path: Path) -> None:
    arrays = {"fc": FC, "samples": np.array(["left", "right"]), "labels": [2, -1], "durations_us": [70, 80]}
    found = read(saved(tmp_path, arrays), None)
    assert (found.samples, found.labels.tolist(), found.durations_us.tolist()) == (("left", "right"), [2, -1], [70, 80])
    assert read(saved(tmp_path, arrays), Samples(("a", "b"), np.array([2, 5]))).samples == ("a", "b")


WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "negative": ({"fc": FC - 1}, {}, "file.npz: fc: -1 at (0, 1, 0, 0); need whole numbers"),
    "fraction": ({"fc": FC / 2}, {}, "file.npz: fc: 0.5 at (0, 0, 0, 0); need whole numbers, 0..4294967295."),
    "nan": ({"fc": np.where(FC == 5, np.nan, FC)}, {}, "file.npz: fc: nan at (1, 2, 0, 0); need whole numbers"),
    "signalling nan": (
        {"fc": np.where(FC == 5, 0x7FF0000000000001, 0).view(np.float64)},
        {},
        "file.npz: fc: nan at (1, 2, 0, 0); need whole numbers",
    ),
    "complex": ({"fc": FC * 1j}, {}, "file.npz: fc: an array of complex128; need counts, which are whole numbers."),
    "shape": (
        {"conv": CONV[:, :, :, :2]},
        {},
        "an array of shape (2, 4, 2, 2); need (samples, 4, 2, 3), counts of layer",
    ),
    "time steps": (
        {"conv": CONV[:, None]},
        {},
        "an array of shape (2, 1, 4, 2, 3); need (samples, 4, 2, 3), counts of l",
    ),
    "samples": ({"fc": FC[:1]}, {}, "file.npz: 1 samples; need 2, as many as are given."),
    "other samples": ({"fc": FC, "conv": CONV[:1]}, {}, "file.npz: conv: 1 samples; need 2, as many as there are."),
    "layer": ({"fd": FC}, {}, "file.npz: fd: no layer 'fd' in the program; need one of"),
    "layer twice": ({"fc": FC, "lin": FC}, {}, "file.npz: lin: counts of layer fc once more; need each layer once."),
    "a part": ({"3": CONV[:, :2]}, {}, "file.npz: counts of 2 of the 4 features of layer conv; need counts of all its"),
    "part and whole": (
        {"3": CONV[:, :2], "conv": CONV},
        {},
        "file.npz: conv: counts of layer conv once more; need each",
    ),
    "input": ({"input": np.zeros((2, 2, 2, 3))}, {}, "file.npz: input: counts of the input; need its single spikes"),
    "spikes": ({"spikes/fc": FC}, {}, "file.npz: spikes/fc: an array of int64; need a structured array of spikes."),
    "labels": (
        {"fc": FC, "labels": [0.5, 1]},
        {},
        "file.npz: labels: an array of float64 of shape (2,); need whole num",
    ),
    "names": ({"fc": FC, "samples": ["a"]}, {}, "file.npz: 1 samples; need 2, as many as are given."),
    "other labels": ({"fc": FC, "labels": [1, 7]}, {}, "label 7 of sample 1; need 2, as it is given for set/b."),
    "--layer": ({"fc": FC}, {"layer": "fc"}, "--layer: given with"),
    "no array": ({}, {}, "file.npz: no spikes and no counts of a layer"),
    "fields": (
        {"conv": FIRED[["sample", "t_us", "y", "x"]]},
        {},
        "file.npz: conv: columns sample, t_us, y, x; need either c, y and x, or neuron.",
    ),
    "objects": (
        {"fc": np.array([None])},
        {},
        "file.npz: cannot be read (pickled objects); need numpy arrays of counts",
    ),
    "no layer": (
        CONV,
        {},
        "file.npy: an array (2, 4, 2, 3) without the name of a layer; need the layer that was recorded",
    ),
}


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("wrong", [np.inf, np.nan, 0.5, 1e300])
def test_a_place_that_is_no_whole_number_is_named(tmp_path: Path, kind: type[np.floating], wrong: float) -> None:
    spikes = FIRED.astype([(name, kind) for name in FIRED.dtype.names or ()])
    assert np.array_equal(read(saved(tmp_path, {"conv": spikes})).spikes["conv"]["x"], FIRED["x"])
    with np.errstate(over="ignore"):
        spikes["x"][1] = kind(wrong)
    with pytest.raises(InputError, match=r"element 1 is .*; need whole numbers of up to 63 bits"):
        read(saved(tmp_path, {"conv": spikes}))


@pytest.mark.parametrize("case", WRONG)
def test_one_sentence_for_each_thing_that_is_wrong(tmp_path: Path, case: str) -> None:
    content, statements, says = WRONG[case]
    name = "file.npz" if isinstance(content, dict) else "file.npy"
    with pytest.raises(DeployError) as refused:
        read(saved(tmp_path, content, name), **statements)
    assert says in str(refused.value)
    assert len(refused.value.problems) == 1


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("sample", 2, "file.npz: conv: element 1: sample = 2; need one of the 2 samples, 0 to 1."),
        ("c", 4, "file.npz: conv: element 1: c = 4; need 0..3 on the map 4x2x3 of conv."),
        ("t_us", -1, "file.npz: conv: element 1: t_us = -1; need 0.."),
    ],
)
def test_a_wrong_value_is_named_with_its_element(tmp_path: Path, field: str, value: int, says: str) -> None:
    fired = FIRED.copy()
    fired[field][1] = value
    with pytest.raises(InputError) as refused:
        read(saved(tmp_path, {"conv": fired}))
    assert says in str(refused.value)


def test_fields_are_whole_numbers(tmp_path: Path) -> None:
    fired = FIRED.astype([(name, "f8") for name in FIRED.dtype.names or ()])
    assert read(saved(tmp_path, {"conv": fired})).counts["conv"].sum() == 2
    fired["c"][1] = np.nan
    with pytest.raises(InputError, match="conv: c: element 1 is nan; need whole numbers"):
        read(saved(tmp_path, {"conv": fired}))


def test_the_header_of_an_array_is_not_believed(tmp_path: Path) -> None:
    header = "{'descr': '<i8', 'fortran_order': False, 'shape': (2, 4, 2, 300000000000), }"
    array = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + f"{header:<117}\n".encode() + bytes(64)
    with pytest.raises(InputError, match="cut short"):
        read(write(tmp_path, array, "file.npy"), layer="conv")
    with zipfile.ZipFile(tmp_path / "file.npz", "w") as archive:
        archive.writestr("conv.npy", array)
    with pytest.raises(InputError, match="cut short"):
        read(tmp_path / "file.npz")


def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path: Path) -> None:
    """150 MB of zeros in 150 kB, which would be 1.2 GB of counts."""
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (150, 1000000), }"
    start = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + f"{header:<117}\n".encode()
    with zipfile.ZipFile(tmp_path / "file.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conv.npy", start + bytes(150 * 10**6))
    with pytest.raises(InputError, match="conv is too large for a file of this size"):
        read(tmp_path / "file.npz")


def test_damaged_files(tmp_path: Path) -> None:
    whole = saved(tmp_path, {"conv": CONV}).read_bytes()
    for end in (10, len(whole) // 2, len(whole) - 5):
        with pytest.raises(InputError, match="cannot be read"):
            read(write(tmp_path, whole[:end], "cut.npz"))
    array = saved(tmp_path, CONV, "file.npy").read_bytes()
    for end in (8, 100, len(array) - 1):
        with pytest.raises(InputError, match="cannot be read"):
            read(write(tmp_path, array[:end], "cut.npy"), layer="conv")
    recorded = {"alias_nodes": np.array(["a"]), "counts/conv": CONV}
    with zipfile.ZipFile(tmp_path / "book.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "")
    with pytest.raises(InputError, match=r"a zip archive with xl/workbook\.xml, which is no array"):
        read(tmp_path / "book.xlsx")
    with pytest.raises(InputError, match="the file of a recording that deploytool made"):
        read(saved(tmp_path, recorded))


def test_events_of_a_camera_file_are_spikes_of_one_layer(tmp_path: Path) -> None:
    aedat4 = pytest.importorskip("helpers.aedat4")
    rows = [(1_700_000_000_000_000, 2, 1, 1), (1_700_000_000_000_040, 0, 0, 0)]
    path = write(tmp_path, aedat4.aedat4(rows), "file.aedat4")
    known = Samples(("a",), np.array([0]))
    found = read(path, known, layer="conv")
    assert found.spikes["conv"].tolist() == spikes((0, 0, 1, 1, 2), (0, 40, 0, 0, 0))
    assert found.spikes["conv"].dtype == SPIKE
    with pytest.raises(InputError, match="no column layer"):
        read(path, known)
    with pytest.raises(InputError, match="no column sample, and 2 samples"):
        read(path, layer="conv")


def test_spikes_of_no_samples_are_refused(tmp_path: Path) -> None:
    spikes = np.zeros(2, [("sample", "u4"), ("t_us", "i8"), ("c", "u2"), ("y", "u2"), ("x", "u2")])
    np.savez(tmp_path / "a.npz", **{"samples": np.array([], "U1"), "spikes/conv": spikes})
    with pytest.raises(InputError, match=r"sample = 0; need one of the samples, of which there are none"):
        read(tmp_path / "a.npz", None)
