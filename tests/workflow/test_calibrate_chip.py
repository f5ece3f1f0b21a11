"""calibrate-chip names the one assumption that a made-up chip does not keep, or says that none explains the counts."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import Deploytool, answer, invoke, refusal
from helpers.layers import changed, make_layer

from deploytool.base.messages import Messages
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program, Route
from deploytool.ir.program_file import load_program
from deploytool.ir.target import Watch
from deploytool.run.jobs.perturbation import Perturbation, perturb_program, perturb_stream
from deploytool.run.targets.table import make_target
from deploytool.store.artifact import Request, Store
from deploytool.store.cache import StageCache
from deploytool.workflow.calibrate_chip import Calibration, Measured, calibrate, knows_samples, leading_to

IMPORT = {"file": "a", "rung": "b", "layer": None, "time_unit": None, "renames": {}, "watch": []}

LAYERS = ("one", "two")


@pytest.fixture(scope="module")
def network() -> Program:
    """Two random convolutions, the second of which sees in which order the spikes of the first arrive."""
    rng = np.random.default_rng(4)
    first = rng.integers(-60, 110, (4, 2, 3, 3)).astype(np.int8)
    second = rng.integers(-60, 80, (3, 4, 3, 3)).astype(np.int8)
    others = {"floor": -40, "padding": (1, 1)}
    return Program(
        chip="simulator",
        arithmetic="int8/int16",
        input_shape=(2, 8, 8),
        input_routes=(Route("one"),),
        layers={
            "one": make_layer(first, 45, (2, 8, 8), (4, 8, 8), (Route("two"),), **others),
            "two": make_layer(second, 52, (4, 8, 8), (3, 8, 8), **others),
        },
        outputs=("two",),
        graph_digest="",
    )


@pytest.fixture(scope="module")
def streams() -> list[EventStream]:
    """Seven samples of 200 to 320 events, three to five of them at each time."""
    return [sample(number, 200 + 20 * number) for number in range(7)]


def sample(seed: int, size: int) -> EventStream:
    rng = np.random.default_rng(seed)
    events = np.zeros(size, EVENT)
    events["t"] = 1000 * np.sort(rng.integers(0, 60, size))
    for axis, limit in (("c", 2), ("y", 8), ("x", 8)):
        events[axis] = rng.integers(0, limit, size)
    return EventStream(events, (2, 8, 8), 60_000, name=f"s{seed}")


def counts(network: Program, streams: list[EventStream]) -> np.ndarray:
    found = make_target("simulator").run(network, streams, Watch(LAYERS)).counts
    return np.concatenate([np.asarray(found[layer]).reshape(len(streams), -1) for layer in LAYERS], axis=1)


def calibrated(tmp_path: Path, network: Program, streams: list[EventStream], measured: np.ndarray) -> Calibration:
    messages = Messages(quiet=True)
    cache = StageCache(Store(tmp_path, messages), messages)
    return calibrate(cache, ("chip",), Measured(network, LAYERS, measured, streams))


def explaining(found: Calibration) -> list[str]:
    return [each.id for each in found.scores if each.verdict == "explains"]


def everywhere(program: Program, **changes: Any) -> Program:
    return program.with_layers({name: changed(layer, **changes) for name, layer in program.layers.items()})


CHANGES = {
    "threshold + 1": lambda each: replace(each, neurons=replace(each.neurons, threshold=each.neurons.threshold + 1)),
    "threshold - 1": lambda each: replace(each, neurons=replace(each.neurons, threshold=each.neurons.threshold - 1)),
    "other reset": lambda each: changed(each, reset="zero"),
    "other floor": lambda each: changed(each, floor=-32768),
    "other number": lambda each: changed(each, at_most_one=False),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_changed_neurons_are_named(tmp_path: Path, network: Program, streams: list[EventStream], name: str) -> None:
    chip = network.with_layers({key: CHANGES[name](layer) for key, layer in network.layers.items()})
    found = calibrated(tmp_path, network, streams, counts(chip, streams))
    assert explaining(found) == [name]
    assert found.scores[0].difference == 0 < found.now
    assert found.says.startswith(f"{found.scores[0].says} This explains the difference")


def test_a_decimator_is_named_with_its_layer(tmp_path: Path, network: Program, streams: list[EventStream]) -> None:
    chip = network.with_layers({**network.layers, "one": changed(network.layers["one"], decimation=4)})
    assert explaining(calibrated(tmp_path, network, streams, counts(chip, streams))) == ["decimator 4 one"]


def test_firing_only_above_the_threshold_is_named(tmp_path: Path, network: Program) -> None:
    """One neuron with threshold 4: weights 2 make it fire at the third event, then V = 2, at the fifth, and so on."""
    rows = {"floor": -4, "padding": (0, 0)}
    ones = [
        make_layer(np.full((1, 1, 1, 1), 2, np.int8), 4, (1, 1, 1), (1, 1, 1), (Route("two"),), **rows),
        make_layer(np.full((1, 1, 1, 1), 2, np.int8), 4, (1, 1, 1), (1, 1, 1), **rows),
    ]
    small = replace(network, input_shape=(1, 1, 1), layers=dict(zip(LAYERS, ones, strict=True)))
    sizes = (5, 7, 9, 11, 13, 15, 10, 12)
    streams = []
    for size in sizes:
        events = np.zeros(size, EVENT)
        events["t"] = np.arange(size)
        streams.append(EventStream(events, (1, 1, 1), size + 1))
    fired = [(size - 1) // 2 for size in sizes]
    measured = np.array([(first, max(first - 1, 0) // 2) for first in fired])
    assert counts(small, streams).tolist() == [[size // 2, size // 4] for size in sizes]
    found = calibrated(tmp_path, small, streams, measured)
    assert found.scores[0].id == "fires above"
    assert (found.scores[0].difference, found.scores[0].verdict) == (0, "explains")


def test_equal_times_in_reverse_are_named(tmp_path: Path, network: Program, streams: list[EventStream]) -> None:
    turned = []
    for stream in streams:
        groups = [stream.events[stream.events["t"] == t][::-1] for t in np.unique(stream.events["t"])]
        turned.append(replace(stream, events=np.concatenate(groups)))
    found = calibrated(tmp_path, network, streams, counts(network, turned))
    assert found.scores[0].id == "ties reversed"
    assert explaining(found) == ["ties reversed"]


def test_equal_times_in_any_order_are_named(tmp_path: Path, network: Program, streams: list[EventStream]) -> None:
    """Swapping within 8 us is the same here: events are 1 ms apart or at the same time."""
    swapped = [perturb_stream(each, Perturbation(order=0.5, seed=9), number) for number, each in enumerate(streams)]
    found = calibrated(tmp_path, network, streams, counts(network, swapped))
    assert {"ties shuffled", "within 8 us"} <= set(explaining(found))
    assert "cannot be told apart from" in found.says


def test_the_order_of_the_spikes_of_one_event_is_named(tmp_path: Path, network: Program) -> None:
    """On a map of one position, the reverse order is that of a network with its features exchanged."""
    rng = np.random.default_rng(1)
    first = rng.integers(-20, 110, (12, 2, 8, 8)).astype(np.int8)
    second = rng.integers(-100, 110, (5, 12, 1, 1)).astype(np.int8)

    def dense(first: np.ndarray, second: np.ndarray) -> Program:
        one = make_layer(first, 70, (2, 8, 8), (12, 1, 1), (Route("two"),), floor=-70)
        two = make_layer(second, 80, (12, 1, 1), (5, 1, 1), floor=-80)
        return replace(network, layers={"one": one, "two": two})

    streams = [sample(number, 200) for number in range(7)]
    chip = counts(dense(first[::-1], second[:, ::-1]), streams)
    measured = np.concatenate([chip[:, 11::-1], chip[:, 12:]], axis=1)
    found = calibrated(tmp_path, dense(first, second), streams, measured)
    assert explaining(found) == ["order reversed"]
    assert found.scores[0].difference == 0


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_lost_events_are_named_with_their_rate(
    tmp_path: Path, network: Program, streams: list[EventStream], share: float
) -> None:
    lost = [perturb_stream(each, Perturbation(drop=share, seed=5), number) for number, each in enumerate(streams)]
    found = calibrated(tmp_path, network, streams, counts(network, lost))
    assert explaining(found) == ["events lost"]
    truly = 100 * (1 - sum(map(len, lost)) / sum(map(len, streams)))
    rate = found.losses[0].rate
    assert rate is not None
    assert rate.low <= truly <= rate.high
    assert rate.low > 0
    assert [each.samples for each in found.losses] == [7, 4, 3]


def test_without_a_difference_no_change_helps(tmp_path: Path, network: Program, streams: list[EventStream]) -> None:
    found = calibrated(tmp_path, network, streams, counts(network, streams))
    assert found.now == 0
    assert {each.verdict for each in found.scores} == {"does not help"}
    assert found.says.endswith("No change helps.")
    assert found.losses[0].rate is not None
    assert found.losses[0].rate.percent == 0


def test_what_is_outside_the_table_is_explained_by_none(
    tmp_path: Path, network: Program, streams: list[EventStream]
) -> None:
    chip = perturb_program(network, Perturbation(weights=0.2, seed=1))
    found = calibrated(tmp_path, network, streams, counts(chip, streams))
    assert found.now > 5
    assert explaining(found) == []
    assert found.says.startswith(f"None of the {len(found.scores)} assumptions explains the difference")


def test_only_layers_that_lead_to_a_recorded_one_are_run(network: Program) -> None:
    assert list(leading_to(network, ["one"]).layers) == ["one"]
    assert leading_to(network, ["one"]).layers["one"].routes == ()
    assert list(leading_to(network, ["two"]).layers) == ["one", "two"]


@pytest.mark.parametrize(
    ("recipe", "known"),
    [({"imported": None}, True), ({"imported": {**IMPORT, "samples_of": None}}, False), ({"imported": IMPORT}, False)],
)
def test_whether_a_recording_says_of_which_samples_it_is(tmp_path: Path, recipe: dict[str, Any], known: bool) -> None:
    store = Store(tmp_path)
    made = store.put(
        Request("recording", {}, recipe), lambda folder: (folder / "recording.npz").write_text("") and None
    )
    assert knows_samples(store, made.name) is known


def test_counts_of_a_board_through_the_command_line(cli: Deploytool, made: Path, tmp_path: Path, program: str) -> None:
    emulated = answer(cli("run", program, "--data", "digits", "--samples", 8, "--json"))["artifact"]
    mapped = load_program(made / "store" / program)
    from deploytool.data.sets.table import load_events
    from deploytool.recipe import DataSection

    streams = list(load_events(DataSection(set="digits", test_samples=8), 0).test)
    chip = make_target("emulator").run(everywhere(mapped, reset="zero"), streams)
    np.savez(tmp_path / "counts.npz", **{name: np.asarray(maps) for name, maps in chip.counts.items()})
    options = ("--program", program, "--rung", "board", "--samples-of", emulated, "--json")
    board = answer(cli("import-recording", tmp_path / "counts.npz", *options))["artifact"]
    found = answer(cli("calibrate-chip", board, "--json"))
    assert found["assumptions"][0]["assumption"] == "other reset"
    assert found["assumptions"][0]["verdict"] == "explains"
    assert found["assumptions"][0]["difference_percent"] == 0
    shown = cli("calibrate-chip", board, "--samples", 3).stdout
    assert "3 samples are few" in shown
    options = ("--program", program, "--rung", "board", "--json")
    alone = answer(cli("import-recording", tmp_path / "counts.npz", *options))["artifact"]
    assert "its input events were not found; need --data" in refusal(cli("calibrate-chip", alone), 2)
    assert "no sample with the name" in refusal(cli("calibrate-chip", alone, "--data", "digits"), 5)


def test_what_cannot_be_calibrated_is_refused(cli: Deploytool, made: Path, program: str) -> None:
    (other,) = (path.name for path in (made / "store").glob("program-*") if path.name != program)
    both = [
        answer(cli("run", each, "--on", "simulator", "--data", "digits", "--samples", 2, "--json"))["artifact"]
        for each in (program, other)
    ]
    assert "a recording of a program in float32" in refusal(cli("calibrate-chip", both[1]), 6)
    assert "--columns: given without --data" in refusal(cli("calibrate-chip", both[0], "--columns", "txyp"), 2)
    one = answer(cli("run", program, "--data", "digits", "--samples", 2, "--watch", "spike2", "--json"))["artifact"]
    assert "or other layers, than" in refusal(cli("calibrate-chip", both[0], one), 2)
    assert answer(cli("calibrate-chip", both[0], both[0], "--json"))["samples"] == 4


def test_counts_measured_on_a_chip(shared_data: Path, tmp_path: Path) -> None:
    """The figures of the documentation of the data: 1.3 % fired above the threshold, 8 % reset to zero, 43 % free."""
    chip, sent = shared_data / "chip", tmp_path / "sent"
    sent.mkdir()
    for path in chip.glob("digit*.bin"):
        shutil.copy(path, sent)
    invoke(tmp_path, "map", chip / "cnn_sinabs.nir", "--reset", "subtract", "--floor", -1)
    run = ("run", "program@latest", "--data", sent, "--absolute-time", "--watch", "0", "--json")
    emulated = answer(invoke(tmp_path, *run))["artifact"]
    columns = ("--rename", "counts=0", "--rename", "digit=labels", "--rename", "test_id=", "--json")
    options = ("--program", "program@latest", "--rung", "board", "--samples-of", emulated, *columns)
    board = answer(invoke(tmp_path, "import-recording", chip / "speck_layer1_counts.npz", *options))["artifact"]
    found = json.loads(invoke(tmp_path, "calibrate-chip", board, "--data", sent, "--json").stdout)
    assert (found["samples"], found["layers"]) == (5, ["0"])
    assert found["difference_percent"] == pytest.approx(1.05, abs=0.01)
    left = {each["assumption"]: each["difference_percent"] for each in found["assumptions"]}
    assert left["fires above"] == pytest.approx(1.3, abs=0.05)
    assert left["other reset"] == pytest.approx(8.6, abs=0.1)
    assert left["other floor"] == pytest.approx(43.1, abs=0.1)
    assert {each["verdict"] for each in found["assumptions"]} <= {"cannot be told apart", "does not help"}
    assert found["conclusion"].startswith("None of the ")
