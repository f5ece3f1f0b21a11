"""Tables of spikes and counts: what they mean, and a sentence for everything that is wrong with one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.foreign import PROGRAM, SAMPLES, program, read, spikes, write

from deploytool.base.errors import DeployError, InputError, UsageError
from deploytool.data.spikes import text
from deploytool.data.spikes.read import foreign_recording
from deploytool.data.spikes.samples import Samples
from deploytool.data.spikes.statements import Statements

SPIKES = "sample,layer,t_us,c,y,x\n"


def test_spikes_are_counted_and_put_in_order(tmp_path: Path) -> None:
    rows = "1,fc,7,2,0,0\n0,conv,9,3,1,2\n0,conv,5,0,0,1\n1,fc,7,0,0,0\n0,conv,5,0,0,0\n"
    found = read(write(tmp_path, SPIKES + rows))
    assert (found.rung, found.samples, found.labels.tolist()) == ("board", ("set/a", "set/b"), [1, 2])
    assert found.durations_us.tolist() == [1000, 500]
    assert list(found.counts) == ["conv", "fc"]
    assert found.spikes["conv"].tolist() == spikes((0, 5, 0, 0, 1), (0, 5, 0, 0, 0), (0, 9, 3, 1, 2))
    assert found.spikes["fc"].tolist() == spikes((1, 7, 2, 0, 0), (1, 7, 0, 0, 0))
    assert found.counts["fc"].tolist() == [[[[0]], [[0]], [[0]]], [[[1]], [[0]], [[1]]]]
    assert found.counts["conv"].sum() == 3
    assert found.counts["conv"][0, 3, 1, 2] == 1
    assert found.outputs == ("fc",)
    assert found.aliases == {"7": "conv", "relu": "conv", "lin": "fc"}
    assert len(found.synops) == 0


def test_counts_are_zero_where_no_row_is(tmp_path: Path) -> None:
    found = read(write(tmp_path, "sample,layer,c,y,x,count\n1,conv,3,0,2,7\n0,conv,0,0,0,0\n"))
    assert found.counts["conv"].sum() == found.counts["conv"][1, 3, 0, 2] == 7
    assert not found.spikes
    assert found.outputs == ()


@pytest.mark.parametrize(
    ("layer", "feature"), [("conv", 1), ("conv_b", 3), ("7", 1), ("relu", 1), ("5", 3), ("3", 1), (" conv_b ", 3)]
)
def test_a_layer_is_named_by_itself_its_part_a_node_or_a_core(tmp_path: Path, layer: str, feature: int) -> None:
    found = read(write(tmp_path, f"{SPIKES}0,{layer},1,1,0,0\n"))
    assert found.spikes["conv"].tolist() == spikes((0, 1, feature, 0, 0))


def test_a_driver_calls_the_core_a_layer(tmp_path: Path) -> None:
    """Graph node 3 of this program is the last layer, core 3 has the first."""
    path = write(tmp_path, "sample;layer;feature;x;y;timestamp\n0;3;1;2;1;8\n1;5;1;0;0;9\n")
    found = read(path, program=program(last="3"))
    assert found.spikes["conv"].tolist() == spikes((0, 8, 1, 1, 2), (1, 9, 3, 0, 0))
    named = read(write(tmp_path, SPIKES + "0,3,1,0,0,0\n"), program=program(last="3"))
    assert list(named.counts) == ["3"]
    assert list(
        read(write(tmp_path, SPIKES + "0,3,1,0,0,0\n"), program=program(last="3"), renames={"layer": "core"}).counts
    ) == ["conv"]


@pytest.mark.parametrize(
    ("layer", "neuron", "place"), [("conv", 23, (3, 1, 2)), ("conv", 8, (1, 0, 2)), ("5", 8, (3, 0, 2))]
)
def test_flat_indices_are_channel_first_on_the_map_that_is_named(
    tmp_path: Path, layer: str, neuron: int, place: tuple[int, int, int]
) -> None:
    found = read(write(tmp_path, f"sample,layer,neuron,count\n0,{layer},{neuron},4\n"))
    assert found.counts["conv"][0][place] == found.counts["conv"].sum() == 4


@pytest.mark.parametrize(
    ("header", "row", "unit", "t_us"),
    [
        ("t_us", "250", None, 250),
        ("t_us", "250", "us", 250),
        ("timestamp", "250", None, 250),
        ("time", "0.25", "ms", 250),
        ("time", "0.00025", "s", 250),
        ("t", "2.5e-4", "s", 250),
        ("t", "250400", "ns", 250),
        ("t", "250.0", None, 250),
    ],
)
def test_times_have_the_stated_unit(tmp_path: Path, header: str, row: str, unit: str | None, t_us: int) -> None:
    path = write(tmp_path, f"sample,layer,{header},c,y,x\n0,fc,{row},0,0,0\n")
    assert read(path, time_unit=unit).spikes["fc"]["t"].tolist() == [t_us]


def test_samples_are_known_by_number_name_and_end_of_the_name(tmp_path: Path) -> None:
    found = read(write(tmp_path, SPIKES + "set/b,fc,1,0,0,0\n0,fc,2,0,0,0\nb,fc,3,0,0,0\n"))
    assert found.spikes["fc"]["sample"].tolist() == [0, 1, 1]
    numbered = Samples(("a", "b"), np.array([0, 1]), numbers=np.array([7, 3]))
    assert read(write(tmp_path, SPIKES + "3,fc,1,0,0,0\n"), numbered).counts["fc"][:, 0, 0, 0].tolist() == [0, 1]


def test_without_samples_the_file_numbers_or_names_them(tmp_path: Path) -> None:
    found = read(write(tmp_path, SPIKES + "2,fc,1,0,0,0\n"), None)
    assert (found.samples, found.labels.tolist()) == (("0", "1", "2"), [-1, -1, -1])
    found = read(write(tmp_path, SPIKES + "left,fc,1,0,0,0\nright,fc,1,0,0,0\nleft,fc,2,0,0,0\n"), None)
    assert found.samples == ("left", "right")
    assert found.counts["fc"][:, 0, 0, 0].tolist() == [2, 1]
    assert read(write(tmp_path, "layer,t_us,c,y,x\nfc,1,0,0,0\n"), None).samples == ("0",)


def test_a_layer_that_was_watched_counts_where_it_is_silent(tmp_path: Path) -> None:
    found = read(write(tmp_path, SPIKES + "0,fc,1,0,0,0\n"), watch=("relu",))
    assert found.counts["conv"].shape == (2, 4, 2, 3)
    assert not found.counts["conv"].any()
    assert len(found.spikes["conv"]) == 0
    assert read(write(tmp_path, SPIKES), watch=("fc",)).counts["fc"].tolist() == np.zeros((2, 3, 1, 1)).tolist()


def test_input_events_are_spikes_without_counts(tmp_path: Path) -> None:
    found = read(write(tmp_path, SPIKES + "0,input,1,1,1,2\n0,fc,1,0,0,0\n"))
    assert found.spikes["input"].tolist() == spikes((0, 1, 1, 1, 2))
    assert list(found.counts) == ["fc"]


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffsample,layer,t_us,c,y,x\r\n0,fc,1,2,0,0\r\n",
        "# written by a board\n# sample, layer, t_us, c, y, x\n0, fc, 1, 2, 0, 0",
        "sample\tlayer\tt_us\tc\ty\tx\n\n0\tfc\t1\t2\t0\t0\n\n",
        '"sample","layer","t_us","c","y","x"\n"0","fc","1","2","0","0"\n',
        ",sample,layer,t_us,c,y,x\n0,0,fc,1,2,0,0\n",
        "Sample,Node,Time,Channel,Row,Column\n0,fc,1,2,0,0\n",
    ],
)
def test_tables_as_programs_write_them(tmp_path: Path, content: str) -> None:
    assert read(write(tmp_path, content)).spikes["fc"].tolist() == spikes((0, 1, 2, 0, 0))


def test_rows_of_a_layer_may_be_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, SPIKES + "0,noise,1,9,0,0\nset/b,fc,2,1,0,0\n7,noise,1,9,0,0\n")
    found = read(path, renames={"noise": ""})
    assert found.spikes["fc"].tolist() == spikes((1, 2, 1, 0, 0))
    assert list(found.counts) == ["fc"]


def test_columns_and_layers_may_be_renamed_or_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, "trial,pop,t_us,weight,c,y,x\n0,exc,1,0.5,2,0,0\n")
    renames = {"trial": "sample", "pop": "layer", "weight": "", "exc": "fc"}
    assert read(path, renames=renames).spikes["fc"].tolist() == spikes((0, 1, 2, 0, 0))


@pytest.mark.parametrize("block", [16, 40, 100])
def test_blocks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    odd = 'a "quoted", name\nof two lines'
    rows = "".join(f'{i % 2},"a ""quoted"", name\nof two lines",{i},{i % 3},0,0\n' for i in range(20))
    monkeypatch.setattr(text, "BLOCK", block)
    found = read(write(tmp_path, SPIKES + rows), program=program(last=odd))
    assert found.counts[odd].sum() == 20
    assert found.counts[odd][:, :, 0, 0].tolist() == [[4, 3, 3], [3, 4, 3]]
    with pytest.raises(InputError, match=r"file\.csv: line 42: c = 3;"):
        read(write(tmp_path, SPIKES + rows + "0,fc,1,3,0,0\n".replace("fc", "conv_a")), program=program(last=odd))


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "no header": ("0,fc,1,0,0,0\n", {}, "file.csv: begins with 0, fc, 1, 0, 0, 0; need the names of the columns"),
    "empty": ("", {}, "file.csv: an empty file; need the names of the columns"),
    "json": (
        '[{"layer": 1}]',
        {},
        'file.csv: begins with [{"layer": 1}]; need the names of the columns in the first line.',
    ),
    "unknown column": ("sample,layer,t_us,c,y,z\n", {}, "file.csv: a column 'z'; need columns of spikes"),
    "missing column": ("sample,layer,t_us,c,y\n", {}, "need either c, y and x, or neuron"),
    "both places": ("sample,layer,t_us,c,y,x,neuron\n", {}, "need either c, y and x, or neuron"),
    "no kind": ("sample,layer,c,y,x\n", {}, "file.csv: columns sample, layer, c, y, x; need columns of spikes"),
    "two kinds": ("sample,layer,t_us,count,c,y,x\n", {}, "need columns of one of spikes"),
    "column twice": ("sample,layer,t_us,time,c,y,x\n", {}, "columns t_us and time, which are both t_us; need one"),
    "layer and core": ("layer,core,t_us,c,y,x\n", {}, "need either layer or core"),
    "samples": ("sample,name\n0,a\n", {}, "file.csv: a table of samples; need spikes or counts. Give it to --samples-"),
    "too few cells": (SPIKES + "0,fc,1,0,0,0\n0,fc,1,0\n", {}, "file.csv: line 3: 4 cells; need 6, one for each colu"),
    "text": (SPIKES + "0,fc,1,0,0,0\n\n0,fc,1,0,one,0\n", {}, "file.csv: line 4: y is 'one'; need a whole number."),
    "empty cell": (SPIKES + "0,fc,1,0,,0\n", {}, "file.csv: line 2: y is nothing; need a whole number."),
    "fraction": (SPIKES + "0,fc,1,0.5,0,0\n", {}, "file.csv: line 2: c is '0.5'; need a whole number."),
    "nan": (SPIKES + "0,fc,nan,0,0,0\n", {}, "file.csv: line 2: t_us is 'nan'; need a number."),
    "nan later": (SPIKES + "0,fc,1.0,0,0,0\n0,fc,nan,0,0,0\n", {}, "file.csv: line 3: t_us = nan; need a number."),
    "huge": (
        SPIKES + f"0,fc,{10**30},0,0,0\n",
        {},
        "file.csv: line 2: t_us = 1e+30; need 0..4503599627370496 us from ",
    ),
    "feature": (SPIKES + "0,fc,1,3,0,0\n", {}, "file.csv: line 2: c = 3; need 0..2 on the map 3x1x1 of fc."),
    "row": (SPIKES + "0,conv,1,3,2,0\n", {}, "file.csv: line 2: y = 2; need 0..1 on the map 4x2x3 of conv."),
    "column": (SPIKES + "0,conv,1,3,0,-1\n", {}, "file.csv: line 2: x = -1; need 0..2 on the map 4x2x3 of conv."),
    "part": (
        SPIKES + "0,5,1,2,0,0\n",
        {},
        "file.csv: line 2: c = 2; need 0..1 on the map 2x2x3 of conv from feature 2",
    ),
    "neuron": ("sample,layer,t_us,neuron\n0,fc,1,3\n", {}, "file.csv: line 2: neuron = 3; need 0..2 on the map 3x1x1"),
    "layer": (SPIKES + "0,fd,1,0,0,0\n", {}, "file.csv: line 2: no layer 'fd' in the program; need one of"),
    "core": ("sample,core,t_us,c,y,x\n0,4,1,0,0,0\n", {}, "line 2: no layer on core 4; need one of the cores 0, 3, 5."),
    "no layer": (
        "sample,t_us,c,y,x\n0,1,0,0,0\n",
        {},
        "file.csv: no column layer; need the layer of every row. Add --l",
    ),
    "sample": (SPIKES + "2,fc,1,0,0,0\n", {}, "file.csv: line 2: sample = 2; need one of the 2 samples, 0 to 1."),
    "sample name": (
        SPIKES + "c,fc,1,0,0,0\n",
        {},
        "line 2: no sample 'c'; need one of the 2 samples, such as 'set/a'.",
    ),
    "number among names": (
        SPIKES + "set/a,fc,1,0,0,0\n5,fc,1,0,0,0\n",
        {},
        "file.csv: line 3: sample = 5; need one of",
    ),
    "no sample": (
        "layer,t_us,c,y,x\nfc,1,0,0,0\n",
        {},
        "file.csv: no column sample, and 2 samples; need a column sample",
    ),
    "negative time": (SPIKES + "0,fc,-1,0,0,0\n", {}, "file.csv: line 2: t_us = -1; need 0..4503599627370496 us from"),
    "late": (
        SPIKES + "1,fc,1000501,0,0,0\n",
        {},
        "line 2: t_us = 1000501; need times within the sample, which lasts 500",
    ),
    "fractions": (
        "sample,layer,t,c,y,x\n0,fc,0.5,0,0,0\n",
        {},
        "line 2: t = 0.5; need times in whole microseconds. Ad",
    ),
    "milliseconds": (
        "sample,layer,t,c,y,x\n" + "0,fc,9,0,0,0\n" * 100,
        {},
        "file.csv: times up to 9 in samples of 1000 us, as if they were milliseconds; need times in",
    ),
    "count": ("sample,layer,c,y,x,count\n0,fc,0,0,0,-2\n", {}, "file.csv: line 2: count = -2; need 0..4294967295."),
    "count twice": (
        "sample,layer,c,y,x,count\n0,conv,1,1,2,2\n1,conv,1,1,2,2\n0,conv,1,1,2,2\n",
        {},
        "file.csv: line 4: a second count of sample 0, layer conv, c = 1, y = 1, x = 2; need each",
    ),
    "counts of the input": (
        "sample,layer,c,y,x,count\n0,input,0,0,0,1\n",
        {},
        "line 2: counts of the input; need its ",
    ),
    "nothing": (SPIKES, {}, "file.csv: no spikes and no counts of a layer; need at least one layer. Name the layers"),
    "only input": (SPIKES + "0,input,1,0,0,0\n", {}, "file.csv: no spikes and no counts of a layer"),
    "watch": (SPIKES, {"watch": ("fd",)}, "--watch: no layer 'fd' in the program"),
    "open quote": (
        SPIKES + '0,"fc,1,0,0,0\n',
        {},
        "file.csv: line 2: a quote that is not closed; need a closing quote.",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_sentence_for_each_thing_that_is_wrong(tmp_path: Path, case: str) -> None:
    content, statements, says = WRONG[case]
    with pytest.raises(InputError) as refused:
        read(write(tmp_path, content), **statements)
    assert says in str(refused.value)
    assert len(refused.value.problems) == 1
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("statements", "says"),
    [
        ({"layer": "fc"}, "--layer: given with"),
        ({"time_unit": "ms"}, "--time-unit: found ms, but"),
        ({"time_unit": "min"}, "--time-unit: found 'min'; need one of us, ms, s, ns."),
    ],
)
def test_statements_that_do_not_go_with_the_file(tmp_path: Path, statements: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read(write(tmp_path, SPIKES + "0,fc,1,0,0,0\n"), **statements)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            SPIKES + "4294967295,conv,1,0,0,0\n",
            "4,294,967,296 samples are too many for a file of this size",
        ),
        (SPIKES + "4294967296,conv,1,0,0,0\n", "sample = 4294967296; need 0..4294967295."),
        (SPIKES + "a,fc,1,0,0,0\n7,fc,1,0,0,0\n", "both numbers and names of samples"),
        (SPIKES + "7,fc,1,0,0,0\na,fc,1,0,0,0\n", "both numbers and names of samples"),
        ("x" * 70_000, "longer than 65,536 bytes"),
        (SPIKES + "x" * 2_000_000, "a line, or a text in quotes, longer than 65,536 bytes"),
        (SPIKES + '0,"' + "x" * 2_000_000, "a line, or a text in quotes, longer than 65,536 bytes"),
        (SPIKES + f"0,{'x' * 2000},1,0,0,0\n", "a name of 1024 bytes or more near here"),
        (b"\xff\xfe" + SPIKES.encode("utf-16-le"), "neither text nor a known kind of file"),
        (b"\xe4,layer\n", "not UTF-8 text"),
    ],
)
def test_nothing_is_believed_of_a_file_of_its_own_samples(tmp_path: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(DeployError) as refused:
        read(write(tmp_path, content), None)
    assert says in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "missing.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path)


def test_spikes_are_read_at_a_million_in_about_a_second(tmp_path: Path) -> None:
    """The limit is five times what is measured on one core: 0.6 s per million."""
    rng = np.random.default_rng(0)
    columns = [rng.integers(0, most, 200_000) for most in (2, 1000, 4, 2, 3)]
    columns[0].sort()
    listed = zip(*(each.tolist() for each in columns), strict=True)
    path = write(tmp_path, SPIKES + "".join(f"{s},conv,{t},{c},{y},{x}\n" for s, t, c, y, x in listed))
    ticks: list[tuple[int, int]] = []
    started = time.process_time()
    known = Samples(SAMPLES.names, SAMPLES.labels)
    found = foreign_recording(
        path, PROGRAM, Statements("board"), known, tick=lambda done, total, _: ticks.append((done, total))
    )
    assert time.process_time() - started < 0.6
    wanted = np.zeros((2, *PROGRAM.map_of("conv")), np.int64)
    np.add.at(wanted, (columns[0], *columns[2:]), 1)
    assert np.array_equal(found.counts["conv"], wanted)
    assert ticks[0] == (1, 3)
    assert ticks[-1] == (3, 3)
