"""A recipe of values through the whole chain: every rung reads them, and whoever shows them says R2 and errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.command import answer, invoke
from sklearn.metrics import r2_score

from deploytool.ir.program_file import load_program
from deploytool.ir.recording_file import load_recording

RECIPE = """
name = "tiny-values"
[data]
set = "digits-saccades"
train_samples = 64
test_samples = 24
[network]
input = [2, 16, 16]
layers = [
    { type = "sumpool", kernel = 2 },
    { type = "conv", out = 4, kernel = 3 },
    { type = "spike" },
    { type = "flatten" },
    { type = "linear", out = 8 },
    { type = "spike" },
]
[constraints]
[task]
kind = "regress"
window_ms = 25
[train]
method = "sdt"
time_steps = 8
epochs = 2
batch = 16
learning_rate = 1e-2
[run]
rasters = 24
[validate]
min_r2 = -5
max_rmse_rise = 500
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("values")
    (made / "recipe.toml").write_text(RECIPE)
    result = invoke(made, "pipeline", made / "recipe.toml")
    assert result.exit_code == 0, result.output
    return made


def test_every_rung_reads_values_with_the_decoder_that_was_learnt(folder: Path) -> None:
    recordings = [load_recording(path) for path in (folder / "store").glob("recording-*")]
    assert {each.rung for each in recordings} == {"torch", "quantised", "simulator", "emulator"}
    programs = [load_program(path) for path in (folder / "store").glob("program-*")]
    for recording in recordings:
        windows = recording.windows
        assert windows is not None
        assert windows.decoder is not None
        assert windows.number.tolist() == [4] * 24
        assert (recording.classes, recording.labels.max()) == (0, -1)
        np.testing.assert_array_equal(windows.targets, recordings[0].windows.targets)  # type: ignore[union-attr]
        by_sample = windows.counts.reshape(24, 4, -1).sum(axis=1)
        np.testing.assert_array_equal(by_sample, recording.output_counts)
        for program in programs:
            assert program.decoder is not None
            np.testing.assert_array_equal(windows.decoder.weights, program.decoder.weights)


def test_windows_are_a_hand_count_of_the_rasters(folder: Path) -> None:
    recordings = {each.rung: each for each in map(load_recording, (folder / "store").glob("recording-*"))}
    emulated = recordings["emulator"]
    assert emulated.windows is not None
    for sample in range(24):
        t_us, neurons = emulated.answer(sample)
        counts = np.zeros((4, 8), int)
        for t, neuron in zip(t_us.tolist(), neurons.tolist(), strict=True):
            counts[t // 25_000, neuron] += 1
        assert counts.tolist() == emulated.windows.counts[emulated.windows.of(sample)].tolist()


def test_the_verdict_and_the_recording_are_shown_with_their_errors(folder: Path) -> None:
    shown = answer(invoke(folder, "show", "verdict@latest", "--json"))
    assert {"r2", "rmse", "mae"} <= shown["rungs"][0].keys()
    assert "accuracy_percent" not in shown["rungs"][0]
    assert [row["value"] for row in shown["errors"][:2]] == ["v_y", "v_x"]
    recording = answer(invoke(folder, "show", "recording@latest", "--json"))
    assert "decision" not in recording
    (path,) = (folder / "store").glob(recording["artifact"])
    windows = load_recording(path).windows
    assert windows is not None
    assert recording["regression"]["r2"] == pytest.approx(r2_score(windows.targets, windows.decoded), abs=1e-4)
    assert "R2" in invoke(folder, "show").output
    assert "validation_r2" in answer(invoke(folder, "show", "model@latest", "--json"))


def test_two_recordings_are_compared_by_their_values(folder: Path) -> None:
    named = {load_recording(path).rung: path.name for path in (folder / "store").glob("recording-*")}
    result = invoke(folder, "compare", named["torch"], named["emulator"])
    assert "px/s apart (root mean square)" in result.output
    result = invoke(folder, "validate", named["torch"], named["emulator"], "--max-rmse", "1e-3")
    assert result.exit_code == 9
    assert "Root mean square error on the emulator" in result.output


def test_the_report_has_a_section_on_values(folder: Path) -> None:
    (page,) = (folder / "store").glob("report-*/report.html")
    assert "How far are the values off?" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["task.window_ms=30"], "task.window_ms: found 30; need a length that divides a sample of 100 ms"),
        (["data.set=digits"], "task.kind: found 'regress'; need 'classify' for the set digits, which has classes"),
        (["train.time_steps=6"], "train.time_steps: found 6; need a multiple of 4, the windows of a sample"),
    ],
)
def test_what_cannot_be_read_is_refused(folder: Path, overrides: list[str], says: str) -> None:
    options = [part for override in overrides for part in ("--set", override)]
    result = invoke(folder, "pipeline", folder / "recipe.toml", *options)
    assert result.exit_code != 0
    assert says in " ".join(result.output.split())


def test_potentials_of_a_last_layer_that_never_fires_are_read_in_the_trained_network_alone(folder: Path) -> None:
    text = RECIPE.replace(
        """    { type = "linear", out = 8 },
    { type = "spike" },
""",
        """    { type = "linear", out = 8 },
""",
    )
    text = text.replace("window_ms = 25", 'window_ms = 25\ndecode = "potential"')
    (folder / "potential.toml").write_text(text.replace("rasters = 24", "on = []"))
    result = invoke(folder, "pipeline", folder / "potential.toml", "--set", "validate={}")
    assert result.exit_code == 0, result.output
    shown = answer(invoke(folder, "show", "recording@latest", "--json"))
    (path,) = (folder / "store").glob(shown["artifact"])
    windows = load_recording(path).windows
    assert windows is not None
    assert windows.decoder is not None
    assert windows.decoder.reads == "potential"
    assert windows.potentials.shape == (96, 8)
    assert shown["regression"]["r2"] == pytest.approx(r2_score(windows.targets, windows.decoded), abs=1e-4)
    refused = invoke(folder, "map", "model@latest")
    assert refused.exit_code == 6
    assert "Output takes the potentials of 'fc1'; need spikes" in " ".join(refused.output.split())


def test_spikes_that_another_program_recorded_are_read_too(folder: Path) -> None:
    named = {load_recording(path).rung: path for path in (folder / "store").glob("recording-*")}
    emulated = load_recording(named["emulator"])
    spikes = folder / "spikes.csv"
    assert invoke(folder, "export", named["emulator"].name, "--spikes", spikes).exit_code == 0
    (program,) = (path.parent.name for path in (folder / "store").glob("program-*/configuration.json"))
    options = ("--data", "digits-saccades", "--samples", 24)
    result = invoke(folder, "import-recording", spikes, "--program", program, "--rung", "board", *options, "--json")
    found = load_recording(Path(answer(result)["path"]))
    assert found.windows is not None
    assert emulated.windows is not None
    np.testing.assert_array_equal(found.windows.counts, emulated.windows.counts)
    np.testing.assert_array_equal(found.windows.targets, emulated.windows.targets)
