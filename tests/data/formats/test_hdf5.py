"""The layouts of HDF5 files: DSEC, MVSEC, Metavision, MATLAB 7.3; what leads out of the file or is too large."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.event_files import ROWS

from deploytool.base.errors import InputError, UsageError
from deploytool.data.formats.reading import Reading
from deploytool.data.formats.recording import EventFile
from deploytool.data.formats.table import FORMATS
from deploytool.data.recordings.chosen import Asked, read_events

T, X, Y, P = np.array(ROWS).T
EVENTS = [(t, p, y, x) for t, x, y, p in ROWS]
SHAPE = (2, 34, 34)


def events_of(path: Path, **options: object) -> list[tuple[int, ...]]:
    (stream,) = read_events(path, SHAPE, Asked(Reading(absolute_time=True, **options)))
    return stream.events.tolist()


def written(path: Path, **sets: object) -> Path:
    with h5py.File(path, "w") as file:
        for name, data in sets.items():
            file[name] = data
    return path


def dsec(path: Path, **more: object) -> Path:
    columns = {"events/t": T.astype("u4"), "events/x": X, "events/y": Y, "events/p": P.astype("u1")}
    return written(path, **columns, ms_to_idx=np.arange(91), **more)


def test_dsec_adds_its_offset_to_all_times(tmp_path: Path) -> None:
    assert events_of(dsec(tmp_path / "a.h5")) == EVENTS
    late = [(t + 10**10, *rest) for t, *rest in EVENTS]
    assert events_of(dsec(tmp_path / "b.h5", t_offset=10**10)) == late


@pytest.mark.parametrize(
    ("t", "offset", "says"),
    [
        (T + np.nan, 5, "times that are too large beside t_offset; need times that fit 62 bits in microseconds"),
        (T + 1e300, 5, "times that are too large beside t_offset"),
        (T.astype("u8") + np.uint64(2**63), 5, "times that are too large beside t_offset"),
        (T, 2**63 - 1, "times that are too large beside t_offset"),
        (T, np.inf, "cannot be read"),
        (T, np.uint64(2**64 - 1), "times that are too large beside t_offset"),
    ],
)
def test_times_that_do_not_fit_with_the_offset_of_dsec(tmp_path: Path, t: np.ndarray, offset: float, says: str) -> None:
    columns = {"events/t": t, "events/x": X, "events/y": Y, "events/p": P.astype("u1")}
    path = written(tmp_path / "a.h5", **columns, ms_to_idx=np.arange(91), t_offset=offset)
    with pytest.raises(InputError, match=says):
        read_events(path, SHAPE)


def test_mvsec_has_seconds_and_signs(tmp_path: Path) -> None:
    left = np.stack([X, Y, T / 1e6, 2 * P - 1], axis=1)
    path = written(tmp_path / "a.h5", **{"davis/left/events": left, "davis/right/events": left[:2]})
    with pytest.raises(
        InputError, match=r"events in davis/left/events, davis/right/events; .* one of these with --group"
    ):
        read_events(path, SHAPE)
    assert events_of(path, group="davis/left") == EVENTS
    assert events_of(path, group="davis/right/events") == EVENTS[:2]
    with pytest.raises(InputError, match=r"no group davis/up; need one of davis/left, davis/right"):
        read_events(path, SHAPE, Asked(Reading(group="davis/up")))
    left[1, 2] = np.nan
    with pytest.raises(InputError, match="times that are not finite"):
        read_events(written(tmp_path / "b.h5", **{"davis/left/events": left}), SHAPE)


def test_a_group_is_named_for_hdf5_only(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 4)))
    with pytest.raises(UsageError, match=r"--group: given with .*a.npy, .*; need HDF5"):
        read_events(tmp_path / "a.npy", SHAPE, Asked(Reading(columns="txyp", group="a")))


def test_metavision_states_its_camera(tmp_path: Path) -> None:
    array = np.array([(x, y, p, t) for t, x, y, p in ROWS], [("x", "u2"), ("y", "u2"), ("p", "i2"), ("t", "i8")])
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.attrs["geometry"] = "1280x720"
        file.create_dataset("CD/events", data=array, chunks=(2,), compression="gzip")
        file["CD/indexes"] = np.zeros(3, [("id", "u8"), ("ts", "i8")])
        file["EXT_TRIGGER/events"] = np.zeros(3, [("p", "i2"), ("t", "i8"), ("id", "i2")])
    file = EventFile(tmp_path / "a.hdf5", FORMATS["hdf5"], Reading(absolute_time=True))
    assert file.between().tolist() == EVENTS
    assert file.sensor == (720, 1280)


def test_rows_of_matlab_are_columns(tmp_path: Path) -> None:
    columns = {"TD/ts": T, "TD/x": X, "TD/y": Y, "TD/p": P}
    for shape in ((1, -1), (-1, 1)):
        path = written(tmp_path / "a.h5", **{name: column.reshape(shape) for name, column in columns.items()})
        assert events_of(path) == EVENTS


def test_hdf5_is_read_in_parts(tmp_path: Path) -> None:
    t = np.cumsum(np.random.default_rng(0).integers(0, 9, 300_000))
    zeros = np.zeros(len(t), "u1")
    path = written(tmp_path / "a.h5", t=t, x=zeros, y=zeros, p=zeros)
    file = EventFile(path, FORMATS["hdf5"], Reading(time_unit="us"), SHAPE)
    assert len(list(file.parts())) == 3
    start = int(t[200_000] - t[0])
    assert np.array_equal(file.between(start)["t"], (t - t[0])[t - t[0] >= start])


def test_samples_of_the_heidelberg_sets_are_many(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("times", "units"):
            spikes = file.create_dataset(f"spikes/{name}", (2,), h5py.vlen_dtype(np.float32))
            spikes[0], spikes[1] = np.arange(3), np.arange(4)
        file["labels"] = np.arange(2)
    with pytest.raises(InputError, match=r"the spikes of many samples; need one recording per file\. Save each sample"):
        read_events(tmp_path / "a.h5", SHAPE)


def test_links_to_other_files_are_not_followed(tmp_path: Path) -> None:
    other = dsec(tmp_path / "other.h5", t_offset=7)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["events"] = h5py.ExternalLink(other.name, "events")
    with pytest.raises(InputError, match="events is a link to another place; need events in the file itself"):
        read_events(tmp_path / "a.h5", SHAPE)
    path = dsec(tmp_path / "b.h5")
    with h5py.File(path, "a") as file:
        file["t_offset"] = h5py.ExternalLink(other.name, "t_offset")
    with pytest.raises(InputError, match="t_offset is a link to another place; need events in the file itself"):
        read_events(path, SHAPE)


def test_virtual_data_sets_are_refused(tmp_path: Path) -> None:
    dsec(tmp_path / "other.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "txyp":
            layout = h5py.VirtualLayout((4,), "i8")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), f"events/{name}", (4,))
            file.create_virtual_dataset(name, layout)
    with pytest.raises(InputError, match="/t is stored in other files; need arrays in the file itself"):
        read_events(tmp_path / "a.h5", SHAPE)


def test_a_filter_that_is_not_installed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name, column in zip("txyp", (T, X, Y, P), strict=True):
            file.create_dataset(name, data=column, chunks=(4,), compression="gzip")
    content = path.read_bytes()
    deflate = b"\x01\x00\x08\x00\x01\x00\x01\x00deflate\0"  # a filter message: its number, name length, flags
    assert deflate in content
    path.write_bytes(content.replace(deflate, b"\xcf\x8e\x08\x00\x00\x00\x01\x00deflate\0"))
    with pytest.raises(
        InputError, match=r"/t is compressed with filter 36559 .deflate.; need .* Metavision's h5repack"
    ):
        read_events(path, SHAPE)


def test_filters_of_hdf5plugin_are_known(tmp_path: Path) -> None:
    plugin = pytest.importorskip("hdf5plugin")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, column in zip("txyp", (T, X, Y, P), strict=True):
            file.create_dataset(f"events/{name}", data=column, **plugin.Blosc())
    assert events_of(tmp_path / "a.h5") == EVENTS


def test_lists_nesting_members_and_chunks_beyond_what_a_recording_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    dsec(path)
    with h5py.File(path, "a") as file:
        file["deep/" + "g/" * 20 + "x"] = 1
    with pytest.raises(InputError, match=r"a.h5: groups nested more than 16 deep; need fewer"):
        events_of(path)
    dsec(path)
    with h5py.File(path, "a") as file:
        for number in range(4100):
            file.create_group(f"more/{number}")
    with pytest.raises(InputError, match=r"a.h5: more than 4,096 groups and arrays; need one recording per file"):
        events_of(path)
    written(path, x=X, y=Y, p=P)
    with h5py.File(path, "a") as file:
        file.create_dataset("t", (4,), h5py.vlen_dtype("i8"))
    with pytest.raises(InputError, match=r"a.h5: /t holds texts or lists; need numbers"):
        events_of(path)
    written(path, x=X, y=Y, p=P)
    with h5py.File(path, "a") as file:
        file.create_dataset("t", (4,), "i8", maxshape=(None,), chunks=(1 << 28,))
    with pytest.raises(
        InputError, match=r"a.h5: /t in chunks of 2,147,483,648 bytes is too large for a file of this size"
    ):
        events_of(path)


def test_a_group_that_contains_itself_is_searched_once(tmp_path: Path) -> None:
    path = dsec(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["events/all"] = file["/"]
        file["events/again"] = file["events"]
    assert events_of(path) == EVENTS
