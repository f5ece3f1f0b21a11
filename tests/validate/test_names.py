"""Names of runs: one run per rung, and variants named by what differs, in any order of the recordings."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deploytool.ir.recording import RUNGS, Recording, RungName, Setup
from deploytool.run.jobs.perturbation import Perturbation
from deploytool.validate.names import in_words, named

UNKNOWN = Setup()


def run(rung: RungName, setup: Setup = UNKNOWN) -> Recording:
    return Recording(rung, (), np.zeros(0), (), {}, np.zeros(0), {}, {}, setup=setup)


def names(*runs: Recording) -> list[str]:
    """The names of ``runs``, in their order."""
    by_name = named({f"r{i}": found for i, found in enumerate(runs)})
    by_key = {key: name for name, key in by_name.items()}
    return [by_key[f"r{i}"] for i in range(len(runs))]


def perturbed(repeat: int = 0, seed: int = 0, **models: float) -> Setup:
    return Setup(perturbation=Perturbation(**models, seed=seed, repeat=repeat).says)


CLEAN = Setup(arithmetic="int8/int16", weight_bits=8)


def steps(count: int) -> Setup:
    return replace(CLEAN, time_steps=count)


def test_a_perturbed_run_is_never_the_rung() -> None:
    lost = perturbed(drop=0.05)
    assert names(run("emulator", lost), run("emulator")) == ["emulator, 5 % of events lost", "emulator"]
    assert names(run("emulator", lost)) == ["emulator, 5 % of events lost"]
    assert list(named({"a": run("emulator", lost), "b": run("torch")})) == ["torch", "emulator, 5 % of events lost"]


def test_an_imported_run_is_named_by_its_file_and_a_rung_only_if_no_other_is() -> None:
    own, board = run("emulator", CLEAN), run("board", replace(CLEAN, imported="b.csv"))
    other = run("emulator", replace(CLEAN, imported="a.csv"))
    assert names(other, own, board) == ["emulator, imported from a.csv", "emulator", "board"]
    assert names(other, board) == ["emulator", "board"]


def test_the_run_with_the_trained_time_steps_is_the_rung() -> None:
    trained = run("torch", Setup(time_steps=10))
    runs = [run("quantised", steps(count)) for count in (1, 2, 10, 40)]
    expected = ["quantised, T = 1", "quantised, T = 2", "quantised", "quantised, T = 40", "torch"]
    everything = [*runs, trained]
    for order in itertools.permutations([0, 1, 2, 3, 4]):
        listed = list(named({str(i): everything[i] for i in order}))
        assert listed == ["torch", "quantised", "quantised, T = 1", "quantised, T = 2", "quantised, T = 40"]
        assert names(*(everything[i] for i in order)) == [expected[i] for i in order]


def test_without_a_trained_network_the_first_run_is_the_rung() -> None:
    assert names(run("quantised", steps(4)), run("quantised", steps(1))) == ["quantised", "quantised, T = 1"]


def test_time_steps_of_the_other_kind() -> None:
    by_count = replace(steps(10), bins="count")
    trained = run("torch", Setup(time_steps=10, bins="count"))
    quantised = run("quantised", steps(10)), run("quantised", by_count)
    assert names(trained, *quantised) == ["torch", "quantised, steps of equal time", "quantised"]
    assert names(*quantised) == ["quantised", "quantised, steps of equal counts"]


def test_other_arithmetic_and_other_weights() -> None:
    integers = replace(CLEAN, arithmetic="int8/int16")
    floats = replace(CLEAN, arithmetic="float32", weight_bits=None)
    assert names(run("simulator", integers), run("simulator", floats)) == ["simulator, int8/int16", "simulator"]
    assert names(run("simulator", integers)) == ["simulator, int8/int16"]
    four = replace(CLEAN, weight_bits=4, program="4" * 64)
    eight = replace(CLEAN, program="8" * 64)
    assert names(run("emulator", eight), run("emulator", four)) == ["emulator", "emulator, 4 bits"]


def test_what_the_setup_does_not_tell_apart_is_told_by_the_draw_the_program_or_a_number() -> None:
    first, second = perturbed(drop=0.05), perturbed(1, drop=0.05)
    lost = "emulator, 5 % of events lost"
    assert names(run("emulator", second), run("emulator", first)) == [f"{lost}, draw 2", f"{lost}, draw 1"]
    seeds = run("emulator", perturbed(drop=0.05)), run("emulator", perturbed(seed=7, drop=0.05))
    assert names(*seeds) == [f"{lost}, seed 0", f"{lost}, seed 7"]
    plain, calibrated = replace(CLEAN, program="a" * 64), replace(CLEAN, program="b" * 64)
    assert names(run("emulator", plain), run("emulator", calibrated)) == ["emulator", "emulator, program bbbbbbbb"]
    assert names(*[run("emulator", CLEAN)] * 3) == [
        "emulator",
        "emulator, run 2",
        "emulator, run 3",
    ]


def test_all_models_of_perturbation_have_words() -> None:
    says = Perturbation(order=8, drop=0.001, threshold=0.02, weights=0.01, seed=3, repeat=1).says
    assert in_words(says) == [
        "events reordered within 8 us",
        "0.1 % of events lost",
        "thresholds varied by 2 %",
        "weights varied by 1 %",
    ]
    assert in_words("") == []
    assert in_words("a warm chip") == ["a warm chip"]


PERTURBATIONS = st.builds(
    lambda drop, seed, repeat: Perturbation(drop=drop, seed=seed, repeat=repeat).says if drop else "",
    st.sampled_from((0, 0.05)),
    st.integers(0, 1),
    st.integers(0, 1),
)
SETUPS = st.builds(
    lambda steps, **rest: Setup(time_steps=steps[0], bins=steps[1], **rest),
    steps=st.sampled_from(((None, "time"), (1, "time"), (10, "time"), (10, "count"))),
    program=st.sampled_from(("a" * 64, "b" * 64)),
    arithmetic=st.sampled_from(("float32", "int8/int16")),
    weight_bits=st.sampled_from((None, 4, 8)),
    perturbation=PERTURBATIONS,
)
RUNS = st.lists(st.builds(run, st.sampled_from(RUNGS), SETUPS), min_size=1, max_size=8)


@given(RUNS)
def test_every_run_has_a_name_of_its_own_that_begins_with_its_rung(runs: list[Recording]) -> None:
    keyed: Mapping[str, Recording] = {f"r{i}": found for i, found in enumerate(runs)}
    found = named(keyed)
    assert sorted(found.values()) == sorted(keyed)
    for name, key in found.items():
        rung = keyed[key].rung
        assert name == rung or name.startswith(f"{rung}, ")
        assert name != rung or not keyed[key].setup.perturbation


@given(RUNS, st.randoms())
def test_names_do_not_depend_on_the_order_where_setups_differ(runs: list[Recording], random: object) -> None:
    different = list({found.rung + repr(found.setup): found for found in runs}.values())
    shuffled = list(different)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    ordered = {id(found): name for found, name in zip(different, names(*different), strict=True)}
    again = {id(found): name for found, name in zip(shuffled, names(*shuffled), strict=True)}
    rungs = [{key for key, name in found.items() if name in RUNGS} for found in (ordered, again)]
    assume(rungs[0] == rungs[1])
    assert ordered == again


@pytest.mark.parametrize("rung", RUNGS)
def test_a_lone_unperturbed_run_is_its_rung(rung: RungName) -> None:
    assert names(run(rung)) == [rung]
