"""The verdict: missing rungs read "not run", every check is asked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from deploytool.base.errors import InputError
from deploytool.ir.recording import RUNGS, Recording, RungName, Setup
from deploytool.ir.verdict import Rung, Verdict
from deploytool.recipe import ValidateSection
from deploytool.validate.ladder import judge as judged

NOTHING = ValidateSection()
ALL = ValidateSection(min_accuracy=75, max_accuracy_drop=25, max_spike_difference=20, max_synops=100)


def recording(rung: RungName, answers: list[list[int]], labels: list[int] | None = None, synops: int = 80) -> Recording:
    counts = np.array(answers)
    samples = len(counts)
    return Recording(
        rung=rung,
        samples=tuple(f"s{i}" for i in range(samples)),
        labels=np.array(labels or [0, 0, 1, 1]),
        outputs=("fc1",),
        counts={"conv1": counts.reshape(samples, 1, 1, -1) * 2, "fc1": counts[..., None, None]},
        synops=np.full(samples, synops),
        spikes={},
        aliases={},
    )


TORCH = recording("torch", [[5, 0], [5, 0], [0, 5], [0, 5]])
SIMULATOR = recording("simulator", [[5, 0], [4, 0], [0, 5], [0, 5]])
EMULATOR = recording("emulator", [[5, 0], [5, 0], [0, 5], [1, 0]])


def judge(recordings: Sequence[Recording], asked: ValidateSection, against: Recording | None = None) -> Verdict:
    """The verdict on ``recordings``, which are called r0, r1, and so on; the reference among them is ``against``."""
    listed = list(recordings)
    if against is not None and all(found is not against for found in listed):
        listed.append(against)
    reference = next((f"r{i}" for i, found in enumerate(listed) if found is against), None)
    return judged({f"r{i}": found for i, found in enumerate(listed)}, asked, reference)


def rungs(verdict: Verdict) -> dict[str, Rung]:
    return {rung.name: rung for rung in verdict.rungs}


def checks(verdict: Verdict) -> dict[str, bool | None]:
    return {check.id: check.passed for check in verdict.checks}


def test_every_rung_is_listed_in_order_and_a_missing_one_reads_not_run() -> None:
    found = rungs(judge([EMULATOR, TORCH], NOTHING))
    assert list(found) == list(RUNGS)
    assert {name for name, rung in found.items() if rung.status == "run"} == {"torch", "emulator"}
    assert found["board"] == Rung.not_run("board")
    assert found["board"].accuracy is None


def test_accuracy_difference_and_synops_are_what_the_recordings_say() -> None:
    verdict = judge([TORCH, SIMULATOR, EMULATOR], NOTHING)
    assert rungs(verdict)["torch"].accuracy == 100
    assert rungs(verdict)["emulator"].accuracy == 75
    assert {name: rung.synops for name, rung in verdict.ran.items()} == {"torch": 80, "simulator": 80, "emulator": 80}
    pairs = {(pair.reference, pair.test): pair for pair in verdict.differences}
    assert list(pairs) == [("emulator", "simulator"), ("emulator", "torch"), ("simulator", "torch")]
    output = pairs["emulator", "simulator"].output
    assert output.pooled == pytest.approx(100 * (1 + 6) / 16)
    assert output.mean == pytest.approx(100 * (1 / 5 + 6 / 1) / 4)
    layers = {layer.layer: layer for layer in pairs["emulator", "simulator"].layers}
    assert list(layers) == ["conv1", "fc1"]
    assert layers["fc1"].pooled == output.pooled
    assert layers["fc1"].exact_neurons == 0


def test_all_checks_pass_or_fail_by_their_limits() -> None:
    made = [TORCH, recording("simulator", [[5, 0], [5, 0], [0, 5], [1, 0]]), EMULATOR]
    verdict = judge(made, ALL)
    assert checks(verdict) == dict.fromkeys(
        ["min_accuracy", "max_accuracy_drop", "max_spike_difference", "max_synops"], True
    )
    assert verdict.passed is True
    assert not verdict.negative
    assert verdict.sentence == "All 4 checks passed."
    strict = ALL.model_copy(update={"min_accuracy": 75.1, "max_synops": 79})
    verdict = judge(made, strict)
    assert checks(verdict) == {
        "min_accuracy": False,
        "max_accuracy_drop": True,
        "max_spike_difference": True,
        "max_synops": False,
    }
    assert verdict.passed is False
    assert verdict.negative
    assert verdict.sentence == "Of 4 checks, 2 failed."


def test_a_drop_of_exactly_the_limit_holds() -> None:
    labels = [0] * 500
    trained = recording("torch", [[1, 0]] * 486 + [[0, 1]] * 14, labels)
    deployed = recording("emulator", [[1, 0]] * 481 + [[0, 1]] * 19, labels)
    assert judge([trained, deployed], ValidateSection(max_accuracy_drop=1)).passed is True


def test_a_check_without_its_rung_is_not_run_and_not_passed() -> None:
    verdict = judge([TORCH, EMULATOR], ALL)
    assert checks(verdict)["max_spike_difference"] is None
    assert "not run, no recording of simulator" in verdict.checks[2].says
    assert verdict.passed is None
    assert verdict.negative
    assert verdict.sentence == "Of 4 checks, 1 not run."


def test_accuracy_without_labels_is_not_run() -> None:
    verdict = judge([recording("emulator", [[1, 0]], labels=[-1])], ValidateSection(min_accuracy=1))
    assert verdict.checks[0].passed is None
    assert verdict.negative


def test_nothing_asked_is_neither_passed_nor_negative() -> None:
    verdict = judge([TORCH], NOTHING)
    assert verdict.passed is None
    assert not verdict.negative
    assert verdict.sentence == "No checks were requested."
    assert verdict.checks == ()


def test_against_compares_everything_with_one_recording_of_any_rung() -> None:
    repeated = recording("emulator", [[5, 0], [5, 0], [0, 5], [2, 0]])
    verdict = judge([SIMULATOR, EMULATOR], NOTHING, against=repeated)
    pairs = [(pair.reference, pair.test) for pair in verdict.differences]
    assert pairs == [("emulator, run 2", "simulator"), ("emulator, run 2", "emulator")]
    assert verdict.differences[1].output.pooled == pytest.approx(100 * 1 / 17, abs=1e-4)
    assert list(rungs(verdict)) == [*RUNGS, "emulator, run 2"]


def test_against_one_of_the_recordings_does_not_list_it_twice() -> None:
    verdict = judge([SIMULATOR, EMULATOR], NOTHING, against=EMULATOR)
    assert list(rungs(verdict)) == list(RUNGS)
    assert len(verdict.differences) == 1


LOST = Setup(perturbation="drop=5% seed 0 repeat 0")


def test_a_run_in_other_arithmetic_is_not_explained_by_its_rung() -> None:
    integers = replace(SIMULATOR, setup=Setup(arithmetic="int8/int16", imported="a.csv"))
    (pair,) = judge([EMULATOR], NOTHING, integers).differences
    assert pair.says == "int8/int16, imported from a.csv, in the reference"
    (pair,) = judge([EMULATOR], NOTHING, SIMULATOR).differences
    assert pair.says == "the chip's integers instead of float32, both event by event"


def test_variants_are_compared_with_their_rung_and_the_pair_says_what_differs() -> None:
    lost = replace(recording("emulator", [[5, 0], [5, 0], [0, 4], [1, 0]]), setup=LOST)
    verdict = judge([lost, TORCH, EMULATOR], NOTHING)
    found = {(pair.reference, pair.test): pair.says for pair in verdict.differences}
    assert found == {
        ("emulator", "torch"): "everything between the trained network and the emulator",
        ("emulator", "emulator, 5 % of events lost"): "5 % of events lost",
    }
    run = rungs(verdict)["emulator, 5 % of events lost"]
    assert (run.rung, run.recording, run.perturbation) == ("emulator", "r0", LOST.perturbation)
    assert run.is_variant
    assert not rungs(verdict)["emulator"].is_variant
    (pair,) = judge([TORCH], NOTHING, against=lost).differences
    assert (pair.reference, pair.test) == ("emulator, 5 % of events lost", "torch")
    expected = "everything between the trained network and the emulator; 5 % of events lost, in the reference"
    assert pair.says == expected


def test_a_variant_without_its_rung_is_compared_with_the_rung_nearest_to_silicon() -> None:
    lost = replace(EMULATOR, setup=LOST)
    verdict = judge([TORCH, SIMULATOR, lost], NOTHING)
    assert rungs(verdict)["emulator"] == Rung.not_run("emulator")
    pairs = [(pair.reference, pair.test) for pair in verdict.differences]
    assert pairs == [("simulator", "torch"), ("simulator", "emulator, 5 % of events lost")]
    assert judge([lost], NOTHING).differences == ()


def test_a_pair_of_rungs_with_other_time_steps_or_bits_says_so() -> None:
    def says(rung: RungName, setup: Setup, other: Setup) -> str:
        runs = [replace(recording(each, [[1, 0]] * 4), setup=s) for each, s in ((rung, setup), ("quantised", other))]
        (pair,) = judge(runs, NOTHING).differences
        return pair.says

    steps = Setup(time_steps=10, weight_bits=8)
    both = "the chip's integers instead of float32, both in time steps"
    assert says("torch", Setup(time_steps=10), steps) == both
    assert says("torch", Setup(time_steps=4), steps) == f"{both}; T = 4 against T = 10"
    assert says("torch", Setup(time_steps=10, bins="count"), steps) == (
        f"{both}; steps of equal counts against steps of equal time"
    )
    events = "events instead of time steps, in the same integers"
    assert says("emulator", Setup(weight_bits=4), steps) == f"{events}; 8 bits against 4 bits"


def test_a_run_states_its_setup() -> None:
    setup = Setup(arithmetic="int8/int16", weight_bits=4, time_steps=10, bins="count")
    found = rungs(judge([replace(recording("quantised", [[1, 0]] * 4), setup=setup), EMULATOR], NOTHING))
    quantised, emulator = found["quantised"], found["emulator"]
    assert (quantised.arithmetic, quantised.weight_bits) == ("int8/int16", 4)
    assert (quantised.time_steps, quantised.bins) == (10, "count")
    assert (emulator.time_steps, emulator.bins) == (None, None)


def test_layers_that_only_one_recorded_are_named() -> None:
    watched = Recording(
        "torch", TORCH.samples, TORCH.labels, TORCH.outputs, {"fc1": TORCH.counts["fc1"]}, TORCH.synops, {}, {}
    )
    (pair,) = judge([watched, EMULATOR], NOTHING).differences
    assert [layer.layer for layer in pair.layers] == ["fc1"]
    assert pair.not_compared == ("conv1",)


def test_recordings_of_other_data_are_refused() -> None:
    other = recording("torch", [[1, 0]], labels=[0])
    with pytest.raises(InputError) as caught:
        judge([other, SIMULATOR, EMULATOR], NOTHING)
    assert caught.value.problems == (
        "r1 against r0: 4 samples against 1; need recordings of the same samples. Run both on the same data.",
    )
    with pytest.raises(InputError, match="no recording"):
        judge([], NOTHING)


def test_recordings_of_other_networks_are_refused_where_both_are_known() -> None:
    first, second = (
        replace(found, setup=Setup(network=digit * 64)) for found, digit in ((SIMULATOR, "1"), (TORCH, "2"))
    )
    assert judge([EMULATOR, first], NOTHING).differences
    with pytest.raises(InputError) as caught:
        judge([EMULATOR, first, second], NOTHING)
    assert caught.value.exit_code == 5
    assert caught.value.problems == (
        "r1 and r2: they ran different networks (111111111111 and 222222222222); need recordings of one network. "
        "Run deploytool compare r1 r2 to compare them.",
    )
