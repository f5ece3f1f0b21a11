"""Recordings of others in the store: counts measured on silicon, files that are exported, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import Deploytool, answer, invoke, refusal

from deploytool.ir.recording_file import load_recording


def newest(folder: Path, kind: str) -> Path:
    return max((folder / "store").glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime_ns)


def test_counts_measured_on_a_chip_differ_by_one_percent(shared_data: Path, tmp_path: Path) -> None:
    """`tests/run/targets/test_silicon.py` has the same figure without the command line."""
    chip = shared_data / "chip"
    (tmp_path / "sent").mkdir()
    for path in chip.glob("digit*.bin"):
        shutil.copy(path, tmp_path / "sent")
    answer(invoke(tmp_path, "map", chip / "cnn_sinabs.nir", "--reset", "subtract", "--floor", -1, "--json"))
    emulated = answer(
        invoke(
            tmp_path, "run", "program@latest", "--data", tmp_path / "sent", "--absolute-time", "--watch", "0", "--json"
        )
    )["artifact"]
    counts = chip / "speck_layer1_counts.npz"
    measured = answer(
        invoke(
            tmp_path,
            *("import-recording", counts, "--program", "program@latest", "--rung", "board"),
            *("--samples-of", emulated, "--rename", "counts=0", "--rename", "digit=labels", "--rename", "test_id="),
            "--json",
        )
    )
    assert (measured["rung"], measured["samples"], measured["accuracy_percent"]) == ("board", 5, None)
    verdict = answer(invoke(tmp_path, "validate", emulated, "--against", measured["artifact"], "--json"))
    (difference,) = verdict["spike_difference"]
    assert (difference["reference"], difference["test"]) == ("board", "emulator")
    (layer,) = (layer for layer in difference["layers"] if layer["layer"] == "0")
    assert layer["pooled"] == pytest.approx(1.05, abs=0.01)
    assert difference["output"]["pooled"] is None
    page = answer(invoke(tmp_path, "report", verdict["artifact"], "--json"))
    html = (Path(page["path"]) / "report.html").read_text()
    assert "output not recorded" in html
    assert "undefined silent" not in html
    assert "--rename counts=0 --rename digit=labels --rename test_id=" in html


@pytest.fixture
def emulated(cli: Deploytool, program: str) -> str:
    """A recording of the small digits, every spike of them kept."""
    return str(answer(cli("run", program, "--data", "digits", "--samples", 10, "--rasters", 10, "--json"))["artifact"])


@pytest.mark.parametrize("name", ["spikes.csv", "spikes.npz", "spikes.h5"])
def test_what_is_exported_is_imported_again(
    cli: Deploytool, made: Path, tmp_path: Path, program: str, emulated: str, name: str
) -> None:
    written = answer(cli("export", emulated, "--spikes", tmp_path / name, "--samples", tmp_path / "s.csv", "--json"))
    assert [file["holds"] for file in written["files"]] == ["spikes", "samples"]
    options = ("--program", program, "--rung", "emulator", "--watch", "spike1")
    for samples in (emulated, tmp_path / "s.csv"):
        imported = answer(cli("import-recording", tmp_path / name, *options, "--samples-of", samples, "--json"))
        found, wanted = (load_recording(made / "store" / each) for each in (imported["artifact"], emulated))
        assert (found.samples, found.outputs) == (wanted.samples, wanted.outputs)
        assert all(np.array_equal(found.counts[layer], counts) for layer, counts in wanted.counts.items())
        assert all(found.spikes[layer].tolist() == spikes.tolist() for layer, spikes in wanted.spikes.items())
        assert np.array_equal(found.synops, wanted.synops)
        assert found.setup == replace(wanted.setup, imported=name)
    verdict = answer(cli("validate", imported["artifact"], "--against", emulated, "--json"))
    assert {run["name"] for run in verdict["rungs"]} > {"emulator", f"emulator, imported from {name}"}
    assert verdict["spike_difference"][0]["output"]["pooled"] == 0
    assert imported["accuracy_percent"] == answer(cli("show", emulated, "--json"))["accuracy_percent"]


def test_counts_as_a_table_and_samples_from_a_data_set(
    cli: Deploytool, made: Path, tmp_path: Path, program: str, emulated: str
) -> None:
    cli("export", emulated, "--counts", tmp_path / "counts.csv")
    options = ("--program", program, "--rung", "simulator", "--data", "digits", "--samples", 10)
    imported = answer(cli("import-recording", tmp_path / "counts.csv", *options, "--json"))
    found, wanted = (load_recording(made / "store" / each) for each in (imported["artifact"], emulated))
    assert all(np.array_equal(found.counts[layer], counts) for layer, counts in wanted.counts.items())
    assert np.array_equal(found.synops, wanted.synops)
    again = cli("import-recording", tmp_path / "counts.csv", *options)
    assert "already there" in again.stderr


def test_a_file_is_compared_directly(cli: Deploytool, tmp_path: Path, emulated: str) -> None:
    cli("export", emulated, "--counts", tmp_path / "counts.csv")
    rows = (tmp_path / "counts.csv").read_text().splitlines()
    (tmp_path / "fewer.csv").write_text("\n".join(row for row in rows if not row.startswith("0,fc1,")))
    for name, limit, code in (("counts.csv", 0, 0), ("fewer.csv", 0, 9), ("fewer.csv", 100, 0)):
        options = ("--against", tmp_path / name, "--max-spike-difference", limit, "--json")
        verdict = answer(cli("validate", emulated, *options), code)
        assert [each["reference"] for each in verdict["spike_difference"]] == [
            f"simulator, int8/int16, imported from {name}"
        ]
    page = answer(cli("report", verdict["artifact"], "--json"))
    html = (Path(page["path"]) / "report.html").read_text()
    assert "imported from fewer.csv" in html
    assert "deploytool import-recording fewer.csv --program program-" in html
    assert f"--rung simulator --samples-of {emulated}" in html


def test_compare_takes_a_file_on_either_side(cli: Deploytool, tmp_path: Path, emulated: str) -> None:
    cli("export", emulated, "--spikes", tmp_path / "spikes.csv")
    rows = (tmp_path / "spikes.csv").read_text().splitlines()
    late = [row.split(",") for row in rows if row.startswith("0,fc1,")][-1]
    (tmp_path / "late.csv").write_text("\n".join(row for row in rows if row != ",".join(late)))
    for sides in ((emulated, tmp_path / "late.csv"), (tmp_path / "late.csv", emulated)):
        found = answer(cli("compare", *sides, "--json"))
        (difference,) = found["spike_difference"]
        layers = {layer["layer"]: layer["pooled"] for layer in difference["layers"]}
        assert layers["conv1"] == 0
        assert layers["fc1"] > 0
    says = refusal(cli("compare", tmp_path / "late.csv", tmp_path / "late.csv"), 4)
    assert "late.csv: no such artifact" in says


def test_a_file_is_not_compared_without_a_program(cli: Deploytool, made: Path, tmp_path: Path) -> None:
    trained = next(path for path in (made / "store").glob("recording-*") if load_recording(path).rung == "torch")
    (tmp_path / "counts.csv").write_text("sample,layer,neuron,count\n")
    says = refusal(cli("validate", trained.name, "--against", tmp_path / "counts.csv"), 2)
    assert f"counts.csv: a file, and the program of {trained.name} is not in the store; need a recording." in says


def test_counts_of_one_layer_as_an_array_or_a_table(cli: Deploytool, tmp_path: Path, emulated: str) -> None:
    for name in ("one.npy", "one.csv"):
        written = answer(cli("export", emulated, "--counts", "spike1", "-o", tmp_path / name, "--json"))
        assert written.keys() == {"written", "layer", "shape"}
    counts = np.load(tmp_path / "one.npy")
    rows = (tmp_path / "one.csv").read_text().splitlines()
    assert sum(int(row.rsplit(",", 1)[1]) for row in rows[1:]) == counts.sum() > 0


REFUSED: list[tuple[tuple[Any, ...], int, str]] = [
    (("--rung", "stairs"), 2, "--rung: found 'stairs'; need one of torch, quantised, simulator, emulator, board."),
    (("--rung", "board", "--rename", "c"), 2, "--rename c: not of the form NAME=MEANING; need for example"),
    (("--rung", "board", "--rename", "c=x", "--rename", "c=y"), 2, "--rename c=y: the second for this name"),
    (("--rung", "board", "--samples", 3), 2, "--root, --samples: given without --data"),
    (("--rung", "board", "--data", "digits", "--samples-of", "s.csv"), 2, "--data: given with --samples-of"),
    (("--rung", "board", "--samples-of", "recording-none"), 4, "recording-none: no such artifact"),
    (("--rung", "board", "--time-unit", "h"), 2, "--time-unit: found 'h'; need one of us, ms, s, ns."),
    (("--rung", "board", "--watch", "none"), 5, "--watch: no layer 'none' in the program"),
    (("--rung", "board"), 5, "line 2: no layer 'nowhere' in the program"),
]


@pytest.mark.parametrize(("options", "exit_code", "says"), REFUSED)
def test_refusals(
    cli: Deploytool, tmp_path: Path, program: str, options: tuple[Any, ...], exit_code: int, says: str
) -> None:
    path = tmp_path / "spikes.csv"
    path.write_text("sample,layer,t_us,c,y,x\n0,nowhere,1,0,0,0\n" if "--watch" not in options else "layer,t,neuron\n")
    assert says in refusal(cli("import-recording", path, "--program", program, *options), exit_code)


def test_a_missing_file_is_named(cli: Deploytool, tmp_path: Path, program: str) -> None:
    missing = tmp_path / "missing.csv"
    says = refusal(cli("import-recording", missing, "--program", program, "--rung", "board"), 5)
    assert says.startswith(f"{missing}: no such file")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "export: nothing to write"),
        (("--counts", "conv"), "--output: missing, with --counts conv"),
        (("--output", "x.npy"), "--output: given without --counts LAYER"),
        (("--counts", "conv", "--output", "x.npy", "--samples", "s.csv"), "--output: given with --spikes or --samples"),
        (("--spikes", "spikes.xlsx"), "--spikes spikes.xlsx: the suffix .xlsx; need one of .csv, .npz, .h5"),
    ],
)
def test_exports_that_are_refused(cli: Deploytool, emulated: str, options: tuple[str, ...], says: str) -> None:
    assert says in refusal(cli("export", emulated, *options), 2)


def test_a_recording_without_spikes_has_none_to_export(cli: Deploytool, program: str, tmp_path: Path) -> None:
    bare = answer(cli("run", program, "--data", "digits", "--samples", 10, "--json"))["artifact"]
    says = refusal(cli("export", bare, "--spikes", tmp_path / "s.csv"), 2)
    assert "has no single spikes; need a recording that kept some. Run it again with --rasters" in says
    assert (
        json.loads(cli("export", bare, "--samples", tmp_path / "s.csv", "--json").stdout)["files"][0]["samples"] == 10
    )
