"""What is written is what is read again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.foreign import SETTINGS, assert_same, program, read, recordings
from hypothesis import given

from deploytool.base.errors import InputError
from deploytool.data.spikes.read import sample_table
from deploytool.data.spikes.samples import samples_of
from deploytool.data.spikes.write import (
    kept_samples,
    write_arrays,
    write_count_table,
    write_sample_table,
    write_spike_table,
)
from deploytool.ir.program import Program
from deploytool.ir.recording import SPIKE, Recording


@SETTINGS
@given(recordings())
def test_tables_round_trip(tmp_path: Path, drawn: tuple[Program, Recording]) -> None:
    made, wanted = drawn
    write_spike_table(wanted, tmp_path / "spikes.csv")
    write_count_table(wanted, tmp_path / "counts.csv", list(wanted.counts))
    kept = kept_samples(wanted)
    write_sample_table(wanted, tmp_path / "samples.csv", np.ones(len(wanted), bool))
    options: dict[str, Any] = {"program": made, "watch": tuple(made.parts)}
    known = sample_table(tmp_path / "samples.csv")
    assert_same(read(tmp_path / "counts.csv", known, **options), wanted, "counts")
    only = Path(tmp_path / "kept.csv")
    write_sample_table(wanted, only, kept)
    found = read(tmp_path / "spikes.csv", sample_table(only), **options)
    assert np.array_equal(found.counts[made.outputs[0]], wanted.counts[made.outputs[0]][kept])
    if kept.all():
        assert_same(found, wanted, "counts", "spikes")


@SETTINGS
@given(recordings())
def test_archives_round_trip(tmp_path: Path, drawn: tuple[Program, Recording]) -> None:
    made, wanted = drawn
    write_arrays(wanted, tmp_path / "all.npz")
    assert_same(read(tmp_path / "all.npz", None, program=made), wanted, "counts", "spikes")
    assert_same(read(tmp_path / "all.npz", samples_of(wanted), program=made), wanted, "counts", "spikes")


def test_spreadsheets_compute_nothing(tmp_path: Path) -> None:
    made = program(last="=1+1")
    counts = {"=1+1": np.ones((1, 3, 1, 1), int)}
    recording = Recording("board", ("@sum",), np.array([0]), ("=1+1",), counts, np.zeros(0), {}, {})
    write_count_table(recording, tmp_path / "counts.csv", ["=1+1"])
    write_sample_table(recording, tmp_path / "samples.csv", np.ones(1, bool))
    assert (
        tmp_path / "counts.csv"
    ).read_text() == "sample,layer,c,y,x,count\n0,'=1+1,0,0,0,1\n0,'=1+1,1,0,0,1\n0,'=1+1,2,0,0,1\n"
    assert (tmp_path / "samples.csv").read_text() == "sample,name,label\n0,'@sum,0\n"
    assert sample_table(tmp_path / "samples.csv").names == ("@sum",)
    assert np.array_equal(read(tmp_path / "counts.csv", None, program=made).counts["=1+1"], counts["=1+1"])


def test_samples_whose_spikes_were_all_kept() -> None:
    counts = {"fc": np.array([[2, 0], [1, 0], [0, 0]]).reshape(3, 2, 1, 1)}
    spikes = np.zeros(2, SPIKE)
    recording = Recording("board", ("a", "b", "c"), np.zeros(3), ("fc",), counts, np.zeros(3), {"fc": spikes}, {})
    assert kept_samples(recording).tolist() == [True, False, True]
    assert not kept_samples(replace(recording, spikes={})).any()


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("sample,name\n0,a\n0,b\n", "two samples with the number 0; need each sample once."),
        ("name\na\na\n", "two samples with the name 'a'; need each sample once."),
        ("name,label\na,-2\n", "line 2: label = -2; need -1..1000000."),
        ("name,label\na,b\n", "line 2: label is 'b'; need a whole number."),
        ("sample,name\nx,a\n", "names in the column sample; need whole numbers."),
        ("name,duration_us\na,-5\n", "line 2: duration_us = -5; need 0.."),
        ("sample,layer,t_us,c,y,x\n", "a table of spikes; need a table of samples, with a column name."),
    ],
)
def test_a_table_of_samples_that_is_wrong(tmp_path: Path, table: str, says: str) -> None:
    (tmp_path / "samples.csv").write_text(table)
    with pytest.raises(InputError) as refused:
        sample_table(tmp_path / "samples.csv")
    assert says in str(refused.value)
