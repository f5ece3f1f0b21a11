"""The formats with a mark of their own: files made from their specifications, and the real ones."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import event_files
from helpers.aedat4 import aedat4
from helpers.event_files import ROW_LISTS, ROWS, Row, rows_of
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import InputError, UsageError
from deploytool.data.formats import es, nbin
from deploytool.data.formats.parts import joined
from deploytool.data.formats.reading import AS_IT_IS, Reading
from deploytool.data.formats.table import FORMATS, format_of, read_raw
from deploytool.data.recordings.chosen import Asked, read_events
from deploytool.recipe import DataSection

REAL = {
    "nmnist_sample.bin": ("bin", (2, 34, 34), 4325, 310_522),
    "ncaltech101_faces_easy_0001.bin": ("bin", (2, 180, 240), 67_445, 299_359),
    "ncars_sample.dat": ("dat", (2, 100, 120), 2009, 99_953),
    "dat_sample.dat": ("dat", (2, 100, 120), 4407, 99_938),
    "evt3_sample.raw": ("evt3", (2, 720, 1280), 219_596, 8802),
    "evt2_sample_head.raw": ("evt2", (2, 480, 640), 99_435, 9040),
    "davis346_sample.aedat4": ("aedat4", (2, 260, 346), 6676, None),
    "stmnist_sample.mat": ("mat", (2, 10, 10), 2346, 699_119),
}
"""{file: (format, map, events, duration in us)}; counts are those of other readers, as the folder's README has them."""


@pytest.mark.parametrize("file", REAL)
def test_real_files_are_recognised_by_their_content_and_read(shared_data: Path, tmp_path: Path, file: str) -> None:
    kind, shape, number, duration_us = REAL[file]
    path = shared_data / "event_formats" / file
    if library := FORMATS[kind].library:
        pytest.importorskip(library)
    if kind != "bin":  # the only one that has no mark
        (tmp_path / "renamed").write_bytes(path.read_bytes())
        path = tmp_path / "renamed"
    assert format_of(path) is FORMATS[kind]
    (stream,) = read_events(path, shape)
    assert len(stream) == number
    assert stream.events["t"][0] == 0
    assert duration_us in (None, stream.duration_us)
    assert 0.2 < stream.events["c"].mean() < 0.8


def test_a_real_aedat4_file_holds_what_the_camera_saw(shared_data: Path) -> None:
    aedat = pytest.importorskip("aedat")
    path = shared_data / "event_formats" / "davis346_sample.aedat4"
    (stream,) = read_events(path, (2, 260, 346))
    theirs = np.concatenate([packet["events"] for packet in aedat.Decoder(path) if "events" in packet])
    assert np.array_equal(stream.events["t"], np.sort(theirs["t"]) - theirs["t"].min())
    assert stream.events["c"].sum() == theirs["on"].sum()


def test_tactile_spikes_are_what_the_set_says(shared_data: Path) -> None:
    scipy = pytest.importorskip("scipy.io")
    train = scipy.loadmat(shared_data / "event_formats" / "stmnist_sample.mat")["spiketrain"]
    raw = read_raw(shared_data / "event_formats" / "stmnist_sample.mat", FORMATS["mat"])
    assert np.array_equal(raw.t, (train[100] * 1e6).astype(np.int64))
    for event, (x, y, p) in enumerate(zip(raw.x, raw.y, raw.p, strict=True)):
        assert train[10 * y + x, event] == p


def test_generic_messages_are_no_events(shared_data: Path) -> None:
    with pytest.raises(InputError, match=r"an Event Stream of version 2.0.0 with generic messages; need DVS or ATIS"):
        read_events(shared_data / "event_formats" / "generic.es", (2, 34, 34))


@given(ROW_LISTS, st.booleans())
def test_event_stream_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[Row], atis: bool) -> None:
    path = tmp_path_factory.mktemp("es") / "a.es"
    path.write_bytes(event_files.event_stream(rows, atis))
    raw = joined(es.parts(path, AS_IT_IS))
    assert rows_of(raw) == rows
    assert raw.sensor == ((200, 300) if rows else None)


@given(ROW_LISTS)
def test_event_stream_with_resets_between_events(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    path = tmp_path_factory.mktemp("es") / "a.es"
    content = event_files.event_stream(rows)
    path.write_bytes(content[:20] + bytes([254, 254]) + content[20:] + bytes([254] * 5))
    assert rows_of(joined(es.parts(path, AS_IT_IS))) == rows


def test_rows_240_say_that_the_clock_ran_over(tmp_path: Path) -> None:
    rows = [(100, 3, 4, 1), (8000, 5, 6, 0), (0, 0, 240, 0), (10, 7, 8, 1), (0, 9, 240, 1), (3, 1, 1, 1)]
    (tmp_path / "a.bin").write_bytes(event_files.nbin(rows))
    assert rows_of(joined(nbin.parts(tmp_path / "a.bin", AS_IT_IS))) == [
        (100, 3, 4, 1),
        (8000, 5, 6, 0),
        (8192 + 10, 7, 8, 1),
        (2 * 8192 + 3, 1, 1, 1),
    ]


def test_exposures_of_an_atis_are_left_out(tmp_path: Path) -> None:
    content = bytearray(event_files.event_stream(ROWS, atis=True))
    content[20] |= 1
    (tmp_path / "a.es").write_bytes(content)
    assert rows_of(joined(es.parts(tmp_path / "a.es", AS_IT_IS))) == ROWS[1:]


@pytest.mark.parametrize("group", ["", "events/", "CD/"])
def test_hdf5_with_a_data_set_for_each_column(tmp_path: Path, group: str) -> None:
    columns = np.array(ROWS).T
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, values in zip("txyp", columns, strict=True):
            file[group + name] = values[None] if group == "CD/" else values  # MATLAB 7.3 has rows
        file["ms_to_idx"] = np.arange(9)
    assert rows_of(read_raw(tmp_path / "a.h5", FORMATS["hdf5"])) == ROWS


def test_hdf5_with_one_data_set_of_events(tmp_path: Path) -> None:
    array = np.array(ROWS, [("t", "i8"), ("x", "u2"), ("y", "u2"), ("p", "i2")])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["CD/events"] = array
        file["CD/indexes"] = np.arange(9)
    assert rows_of(read_raw(tmp_path / "a.h5", FORMATS["hdf5"])) == ROWS
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["data"] = np.array(ROWS)
    assert rows_of(read_raw(tmp_path / "b.h5", FORMATS["hdf5"], Reading("txyp"))) == ROWS
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["one/events"] = file["other/events"] = array
    with pytest.raises(InputError, match="an HDF5 file with events in one/events, other/events; need one group"):
        read_raw(tmp_path / "c.h5", FORMATS["hdf5"])
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["spikes/times"] = file["spikes/units"] = np.arange(9)
    with pytest.raises(
        InputError, match=r"an HDF5 file with the spikes of many samples; need one recording per file\. Save each"
    ):
        read_raw(tmp_path / "d.h5", FORMATS["hdf5"])


def test_hdf5_does_not_lead_out_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(80))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "xyp":
            file[name] = np.zeros(10, np.int64)
        file.create_dataset("t", (10,), np.int64, external=[(str(tmp_path / "secret"), 0, 80)])
    with pytest.raises(InputError, match="/t is stored in other files; need arrays in the file itself"):
        read_raw(tmp_path / "a.h5", FORMATS["hdf5"])
    with h5py.File(tmp_path / "b.h5", "w") as file:
        for name in "txyp":
            file.create_dataset(name, (10**12,), np.int64, chunks=(1000,))
    with pytest.raises(InputError, match="is too large for a file of this size"):
        read_raw(tmp_path / "b.h5", FORMATS["hdf5"])


def test_a_zip_without_arrays_is_one_sentence(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.npz", "w") as archive:
        archive.writestr("data.pkl", b"\x80\x02")
    with pytest.raises(InputError, match="a zip archive of other files than arrays; need"):
        read_events(tmp_path / "model.npz", (2, 34, 34))


def test_comments_of_latex_are_no_camera(tmp_path: Path) -> None:
    (tmp_path / "notes.tex").write_text("% a comment\nwords\n")
    assert format_of(tmp_path / "notes.tex") is None


def test_matlab_vectors(tmp_path: Path) -> None:
    scipy = pytest.importorskip("scipy.io")
    t, x, y, p = np.array(ROWS).T
    scipy.savemat(tmp_path / "a.mat", {"ts": t, "x": x, "y": y[:, None], "pol": p, "note": "words"})
    assert rows_of(read_raw(tmp_path / "a.mat", FORMATS["mat"])) == ROWS
    scipy.savemat(tmp_path / "b.mat", {"spiketrain": np.zeros((5, 5))})
    with pytest.raises(InputError, match=r"spiketrain of shape \(5, 5\); need \(101, N\)"):
        read_raw(tmp_path / "b.mat", FORMATS["mat"])


def test_matlab_structs_count_from_one_if_their_polarities_do(tmp_path: Path) -> None:
    scipy = pytest.importorskip("scipy.io")
    t, x, y, p = np.array(ROWS).T
    for one in (0, 1):
        scipy.savemat(tmp_path / "a.mat", {"TD": {"x": x + one, "y": y + one, "p": p + one, "ts": t}, "label": 3})
        assert rows_of(read_raw(tmp_path / "a.mat", FORMATS["mat"])) == ROWS
    two = np.zeros(2, [(name, object) for name in ("x", "y", "p", "ts")])
    two[0] = two[1] = (x, y, p, t)
    scipy.savemat(tmp_path / "a.mat", {"TD": two})
    with pytest.raises(InputError, match="fields none; need a structured array"):
        read_raw(tmp_path / "a.mat", FORMATS["mat"])


@pytest.mark.parametrize("bits", [0x7FF0000000000001, 0x7FF8000000000000, 0x7FF0000000000000])
@pytest.mark.parametrize(
    ("column", "says"),
    [(0, "times that are not finite"), (1, "field x spans"), (2, "field y spans"), (3, "polarities")],
)
def test_matlab_numbers_that_are_not_finite(tmp_path: Path, column: int, says: str, bits: int) -> None:
    scipy = pytest.importorskip("scipy.io")
    rows = np.array(ROWS, np.float64)
    from_one = rows + np.array([0, 1, 1, 1])
    rows[-1, column] = from_one[-1, column] = np.uint64(bits).view(np.float64)
    struct = dict(zip(("ts", "x", "y", "p"), from_one.T, strict=True))
    for variables in ({"TD": struct}, {"out1": rows}):
        scipy.savemat(tmp_path / "a.mat", variables)
        with pytest.raises(InputError, match=says):
            read_events(tmp_path / "a.mat", (2, 34, 34), Asked(Reading(None if "TD" in variables else "txyp")))


def test_matlab_matrices(tmp_path: Path) -> None:
    scipy = pytest.importorskip("scipy.io")
    t, x, y, p = np.array(ROWS, np.float64).T
    scipy.savemat(tmp_path / "a.mat", {"out1": np.stack([t, 0 * t, 0 * t - 1, x, y, 2 * p - 1], axis=1)})
    (stream,) = read_events(tmp_path / "a.mat", (2, 34, 34), Asked(Reading(absolute_time=True)))
    assert [(t, x, y, c) for t, c, y, x in stream.events.tolist()] == ROWS
    scipy.savemat(tmp_path / "b.mat", {"events": np.array(ROWS)})
    assert rows_of(read_raw(tmp_path / "b.mat", FORMATS["mat"], Reading("txyp"))) == ROWS
    with pytest.raises(InputError, match="need the order of its columns"):
        read_raw(tmp_path / "b.mat", FORMATS["mat"])
    scipy.savemat(tmp_path / "c.mat", {"left": np.array(ROWS), "right": np.array(ROWS)})
    with pytest.raises(InputError, match="events in left, right; need one recording per file"):
        read_raw(tmp_path / "c.mat", FORMATS["mat"])
    scipy.savemat(tmp_path / "d.mat", {"out1": np.zeros((0, 6))})
    with pytest.raises(InputError, match="fields out1; need"):
        read_raw(tmp_path / "d.mat", FORMATS["mat"])


def test_archives_that_unpack_to_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scipy = pytest.importorskip("scipy.io")
    monkeypatch.setattr("deploytool.base.hdf5.BYTES_MIN", 1000)
    zeros = {name: np.zeros(10**6, np.uint8) for name in "txyp"}
    scipy.savemat(tmp_path / "a.mat", zeros, do_compression=True)
    with pytest.raises(InputError, match="variables that are too large for a file of this size"):
        read_events(tmp_path / "a.mat", (2, 34, 34))
    np.savez_compressed(tmp_path / "a.npz", **zeros)
    with pytest.raises(InputError, match=r"npy of 1,000,128 bytes is too large for a file of this size"):
        read_events(tmp_path / "a.npz", (2, 34, 34))


MADE = {
    "dat": event_files.dat(ROWS),
    "evt2": event_files.evt2(ROWS),
    "evt3": event_files.evt3(ROWS),
    "aedat3": event_files.aedat3([ROWS]),
    "es": event_files.event_stream(ROWS),
    "aedat4": aedat4(ROWS),
}


@pytest.mark.parametrize("kind", MADE)
def test_made_files_are_recognised_and_read(tmp_path: Path, kind: str) -> None:
    if library := FORMATS[kind].library:
        pytest.importorskip(library)
    (tmp_path / "file").write_bytes(MADE[kind])
    assert format_of(tmp_path / "file") is FORMATS[kind]
    asked = Asked(Reading(absolute_time=True), DataSection(set="events", sensor=(34, 34)))
    (stream,) = read_events(tmp_path / "file", (2, 34, 34), asked)
    assert [(t, x, y, c) for t, c, y, x in stream.events.tolist()] == ROWS


@pytest.mark.parametrize("kind", MADE)
def test_damaged_files_are_refused_or_read_never_a_crash(tmp_path: Path, kind: str) -> None:
    if library := FORMATS[kind].library:
        pytest.importorskip(library)
    rng, content, problems = np.random.default_rng(3), MADE[kind], []
    for _ in range(60):
        damaged = bytearray(content[: rng.integers(12, len(content) + 1)])
        damaged[rng.integers(0, len(damaged))] ^= 1 << int(rng.integers(0, 8))
        (tmp_path / "file").write_bytes(damaged)
        try:
            read_events(tmp_path / "file", (2, 34, 34))
        except InputError as error:
            problems += error.problems
    assert len(problems) > 5
    assert all(len(problem.splitlines()) == 1 for problem in problems)


def test_an_absent_library_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.aedat4").write_bytes(MADE["aedat4"])
    monkeypatch.setitem(sys.modules, "aedat", None)
    with pytest.raises(InputError, match=r"aedat, which reads its files, is not installed.*deploytool\[datasets\]'"):
        read_events(tmp_path / "a.aedat4", (2, 34, 34))


def test_what_a_format_states_itself_cannot_be_stated(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(MADE["evt3"])
    with pytest.raises(
        UsageError, match=r"--time-unit: given with .*a.raw, which is Prophesee EVT 3.0 and states that"
    ):
        read_events(tmp_path / "a.raw", (2, 34, 34), Asked(Reading(time_unit="ms")))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"#!AER-DAT1.0\r\n# AEChip: DVS128\r\n", "AEDAT 1.0 or 3.0, which is not supported"),
        (b"% evt 4.0\n" + bytes(16), "EVT 4.0, which is not supported"),
        (b"% Date 2020-01-01\n" + bytes(16), "a Prophesee file that does not state its encoding"),
        (b"#ROSBAG V2.0\n", "a ROS bag"),
        (b"\x1f\x8b\x08\x00", "a compressed file"),
        (b"\x80\x04\x95", "a pickle, which could run any code"),
    ],
)
def test_known_files_that_are_not_read_are_named_with_a_way_out(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "a.raw").write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        read_events(tmp_path / "a.raw", (2, 34, 34))
    assert "Convert it with" in str(caught.value)


def test_events_that_a_file_has_no_room_for_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploytool.data.formats.parts.EVENTS_MIN", 1000)
    column = np.zeros(200_000, np.uint8)
    np.savez_compressed(tmp_path / "a.npz", t=column, x=column, y=column, p=column)
    with pytest.raises(InputError, match=r"a.npz: more events than a file of this size can have; need at most"):
        read_raw(tmp_path / "a.npz", FORMATS["npz"])
