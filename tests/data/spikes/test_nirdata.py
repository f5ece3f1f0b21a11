"""NIR data, read as nir writes them and written as nir reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from helpers.foreign import PROGRAM, SAMPLES, SETTINGS, assert_same, program, read, recordings, spikes, write
from hypothesis import given

from deploytool.base.errors import InputError, UnsupportedError
from deploytool.data.spikes.nirdata import read_nir_data, write_nir_data
from deploytool.data.spikes.samples import samples_of
from deploytool.data.spikes.write import kept_samples
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording

nir = pytest.importorskip("nir")
IDX = np.array([[2, 23, -1], [8, -1, -1]])
TIME = np.array([[0.5, 0.75, np.inf], [0.25, np.inf, np.inf]])


def events(idx: np.ndarray = IDX, time: np.ndarray = TIME, neurons: int = 24, t_max: float = 1.0) -> Any:
    return nir.EventData(idx, time, neurons, t_max)


def saved(folder: Path, **nodes: Any) -> Path:
    """A file that nir writes: {node: its spikes, or {name: data of an observable}}."""
    named = {name: each if isinstance(each, dict) else {"spikes": each} for name, each in nodes.items()}
    data = nir.NIRGraphData({name: nir.NIRNodeData(each) for name, each in named.items()})
    nir.serialization.write_data(folder / "file.h5", data)
    return folder / "file.h5"


def test_events_of_nodes_are_spikes_of_their_layers(tmp_path: Path) -> None:
    found = read(saved(tmp_path, relu=events(), lin=events(np.full((2, 0), -1), np.zeros((2, 0)), 3)), time_unit="ms")
    assert found.spikes["conv"].tolist() == spikes((0, 500, 0, 0, 2), (0, 750, 3, 1, 2), (1, 250, 1, 0, 2))
    assert found.counts["fc"].tolist() == np.zeros((2, 3, 1, 1)).tolist()
    assert found.outputs == ("fc",)


def test_events_on_a_grid_are_at_the_start_of_their_step(tmp_path: Path) -> None:
    data = np.zeros((2, 5, 3), bool)
    data[0, 0, 2] = data[1, 4, 1] = True
    potentials = nir.TimeGriddedData(np.ones((2, 5, 3)), 0.1)
    path = saved(tmp_path, fc={"v": potentials, "out": nir.TimeGriddedData(data, 0.1)}, relu={"v": potentials})
    found = read(path, time_unit="ms")
    assert found.spikes["fc"].tolist() == spikes((0, 0, 2, 0, 0), (1, 400, 1, 0, 0))
    assert list(found.counts) == ["fc"]


def test_samples_are_numbered_and_last_until_the_end_of_the_recording(tmp_path: Path) -> None:
    found = read(saved(tmp_path, relu=events()), None, time_unit="s")
    assert (found.samples, found.durations_us.tolist()) == (("0", "1"), [1_000_000, 1_000_000])


def test_parts_and_renamed_nodes(tmp_path: Path) -> None:
    path = saved(tmp_path, first=events(np.where(IDX < 0, -1, IDX % 12), neurons=12), other=events())
    found = read(path, time_unit="ms", renames={"first": "conv_b", "other": ""})
    assert found.spikes["conv"]["c"].tolist() == [2, 3, 3]


@pytest.mark.parametrize("factor", [1e304, np.inf, np.nan])
def test_times_beyond_all_numbers_in_a_unit_of_the_file(tmp_path: Path, factor: float) -> None:
    path = saved(tmp_path, relu=events(time=TIME * factor))
    with h5py.File(path, "a") as file:
        file.attrs["time_unit"] = "s"
    with pytest.raises(InputError, match=r"relu: spike \d: t_us = (inf|nan); need"):
        read(path)


@pytest.mark.parametrize("gridded", [True, False])
def test_spikes_that_take_more_than_their_file_may_are_refused(tmp_path: Path, gridded: bool) -> None:
    grid = nir.TimeGriddedData(np.ones((2, 50, 24), bool), 0.1)
    path = saved(tmp_path, relu=grid if gridded else events(np.zeros((2, 1200), int), np.ones((2, 1200))))
    assert len(read_nir_data(path, 500_000).nodes) == 1
    with pytest.raises(InputError, match="relu: 2,400 spikes, too many for a file of this size"):
        read_nir_data(path, 70_000)


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "unit": (
        {"relu": events()},
        {},
        "file.h5: times without a unit, which NIR does not state; need the unit",
    ),
    "neurons": (
        {"relu": events(neurons=12)},
        {"time_unit": "ms"},
        "file.h5: relu: 12 neurons; need 24, as layer",
    ),
    "index": (
        {"relu": events(IDX + 1)},
        {"time_unit": "ms"},
        "file.h5: relu: spike 1: idx = 24; need 0..23",
    ),
    "time": ({"relu": events(time=-TIME)}, {"time_unit": "ms"}, "file.h5: relu: spike 0: time = -0.5; need 0.."),
    "node": ({"conv3": events()}, {"time_unit": "ms"}, "file.h5: conv3: no layer 'conv3' in the program; need one of"),
    "samples": (
        {"relu": events(IDX[:1], TIME[:1])},
        {"time_unit": "ms"},
        "file.h5: relu: 1 samples; need 2",
    ),
    "two": (
        {"relu": {"a": events(), "b": events()}},
        {"time_unit": "ms"},
        "relu: observables a, b; need one called",
    ),
    "values": (
        {"relu": nir.ValuedEventData(IDX, TIME, 24, 1.0, TIME)},
        {"time_unit": "ms"},
        "file.h5: relu: events with values; need spikes, which have none.",
    ),
    "grid": (
        {"fc": nir.TimeGriddedData(np.full((2, 5, 3), 0.5), 0.1)},
        {"time_unit": "ms"},
        "file.h5: fc: data (2, 5, 3) of float64; need 0 and 1 of shape (samples, time steps, neurons).",
    ),
    "endless time steps": (
        {"fc": nir.TimeGriddedData(np.ones((2, 5, 3)), 1e308)},
        {"time_unit": "ms"},
        "file.h5: fc: time steps of dt = 1e+308; need a time step above 0 whose multiples are finite.",
    ),
    "nothing": (
        {"fc": {"v": nir.TimeGriddedData(np.ones((2, 5, 3)), 0.1)}},
        {"time_unit": "ms"},
        "no spikes and",
    ),
    "late": (
        {"relu": events(time=TIME * 1e4)},
        {"time_unit": "ms"},
        "relu: spike 0: time = 5000.0; need times",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_sentence_for_each_thing_that_is_wrong(tmp_path: Path, case: str) -> None:
    nodes, statements, says = WRONG[case]
    with pytest.raises(InputError) as refused:
        read(saved(tmp_path, **nodes), **statements)
    assert says in str(refused.value)
    assert len(refused.value.problems) == 1


def test_other_hdf5_files_and_damaged_ones(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        file["events"] = np.zeros(3)
    with pytest.raises(InputError, match="an HDF5 file without NIR data"):
        read(path)
    with h5py.File(path, "w") as file:
        file.create_group("node")
    with pytest.raises(InputError, match="a NIR graph, which is a network"):
        read(path)
    with h5py.File(path, "w") as file:
        file.attrs["__type__"] = "NIRGraphData"
        file["nodes"] = h5py.ExternalLink("elsewhere.h5", "/nodes")
    with pytest.raises(InputError, match="cannot be read"):
        read(path)
    whole = saved(tmp_path, relu=events()).read_bytes()
    for end in (600, len(whole) // 2):
        with pytest.raises(InputError):
            read(write(tmp_path, whole[:end], "cut.h5"), time_unit="ms")
    with h5py.File(path, "r+") as file:
        file["nodes/relu/observables/spikes"].attrs["n_neurons"] = np.inf
    with pytest.raises(InputError, match=r"cannot be read .cannot convert float infinity to integer"):
        read(path, time_unit="ms")
    with h5py.File(path, "r+") as file:
        del file["nodes/relu/observables/spikes/idx"]
    with pytest.raises(InputError, match="cannot be read"):
        read(path, time_unit="ms")


def test_an_array_far_larger_than_the_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, relu=events())
    with h5py.File(path, "r+") as file:
        del file["nodes/relu/observables/spikes/idx"]
        file["nodes/relu/observables/spikes"].create_dataset("idx", (2, 10**9), np.int64, chunks=(1, 1000))
    with pytest.raises(InputError, match="too large for a file of this size"):
        read(path, time_unit="ms")


def test_samples_without_events_are_not_believed(tmp_path: Path) -> None:
    path = saved(tmp_path, relu=events(np.full((2, 0), -1), np.zeros((2, 0))))
    with h5py.File(path, "r+") as file:
        group = file["nodes/relu/observables/spikes"]
        del group["idx"], group["time"]
        group.create_dataset("idx", (10**9, 0), np.int64)
        group.create_dataset("time", (10**9, 0), np.float64)
    with pytest.raises(InputError, match="1,000,000,000 samples are too many for a file of this size"):
        read(path, None, time_unit="ms")


def test_nir_reads_what_is_written(tmp_path: Path) -> None:
    recording = read(write(tmp_path, "sample,layer,t_us,c,y,x\n0,conv,5,3,1,2\n0,input,4,1,0,0\n1,fc,7,2,0,0\n"))
    write_nir_data(recording, tmp_path / "out.h5", PROGRAM.input_shape)
    found = nir.serialization.read_data(tmp_path / "out.h5")
    assert set(found.nodes) == {"relu", "lin", "input"}
    conv = found.nodes["relu"].observables["spikes"]
    assert (conv.idx.tolist(), conv.time.tolist()) == ([[23], [-1]], [[5.0], [np.inf]])
    assert (conv.n_neurons, conv.t_max) == (24, 1000.0)
    assert found.nodes["input"].observables["spikes"].n_neurons == 12
    assert conv.to_time_gridded(1.0).data[0, 5, 23]
    write_nir_data(recording, tmp_path / "without.h5", None)
    assert set(nir.serialization.read_data(tmp_path / "without.h5").nodes) == {"relu", "lin"}


@SETTINGS
@given(recordings())
def test_nir_data_round_trip(tmp_path: Path, drawn: tuple[Program, Recording]) -> None:
    made, wanted = drawn
    kept = kept_samples(wanted)
    write_nir_data(wanted, tmp_path / "out.h5", made.input_shape)
    known = samples_of(wanted)
    if kept.all():
        assert_same(read(tmp_path / "out.h5", known, program=made), wanted, "counts", "spikes")
    else:
        with pytest.raises(InputError, match="samples; need"):
            read(tmp_path / "out.h5", known, program=made)


def test_names_that_hdf5_does_not_take(tmp_path: Path) -> None:
    recording = read(write(tmp_path, "sample,layer,t_us,c,y,x\n0,a/b,7,2,0,0\n"), SAMPLES, program=program(last="a/b"))
    stripped = Recording(**{**vars(recording), "aliases": {}})
    with pytest.raises(UnsupportedError, match="layer 'a/b': a name that HDF5 does not take"):
        write_nir_data(stripped, tmp_path / "out.h5", None)
