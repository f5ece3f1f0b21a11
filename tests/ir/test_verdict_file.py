"""Verdicts as JSON: the form that scripts read, the round trip, and files that are damaged."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import ArtifactError
from deploytool.ir.recording import RungName
from deploytool.ir.verdict import (
    Check,
    CoreLoad,
    Decision,
    Difference,
    LayerDifference,
    LayerFigures,
    Rung,
    SpikeDifference,
    Verdict,
)
from deploytool.ir.verdict_file import UNITS, as_json, load_verdict, save_verdict

SHARES = st.none() | st.floats(0, 1e6, allow_nan=False)
COUNTS = st.integers(0, 2**40)
NAMES = st.text(max_size=8)

CHECKS = st.builds(Check, id=NAMES, value=SHARES, limit=st.floats(0, 100), unit=NAMES, says=NAMES)
LAYERS = st.builds(
    LayerFigures,
    neurons=COUNTS,
    spikes_per_sample=SHARES,
    synops_per_sample=SHARES,
    rate_hz=SHARES,
    silent_neurons=COUNTS,
    saturated_neurons=st.none() | COUNTS,
    v_lowest=st.none() | COUNTS,
    v_highest=st.none() | COUNTS,
    weights_above=st.none() | COUNTS,
)
TIMES = st.floats(0, 1e6)
DECISIONS = st.one_of(
    st.builds(Decision, samples=COUNTS, median_ms=times, min_ms=times, max_ms=times) for times in (TIMES, st.none())
)


def rung(accuracy: tuple[float, tuple[float, float]] | None, **figures: Any) -> Rung:
    share, interval = accuracy or (None, None)
    return Rung(accuracy=share, interval_95=interval, **figures)


RUNGS = st.builds(
    rung,
    name=NAMES,
    rung=st.sampled_from(get_args(RungName)),
    recording=st.none() | NAMES,
    arithmetic=st.none(),
    bins=st.none(),
    perturbation=st.none() | NAMES,
    energy=st.none() | NAMES,
    status=st.just("run"),
    weight_bits=st.none() | COUNTS,
    time_steps=st.none() | COUNTS,
    samples=COUNTS,
    right=st.none() | COUNTS,
    labelled=st.none() | COUNTS,
    silent=st.none() | COUNTS,
    accuracy=st.none() | st.tuples(st.floats(0, 100), st.tuples(st.floats(0, 100), st.floats(0, 100))),
    synops=SHARES,
    spikes=st.dictionaries(NAMES, st.floats(0, 1e9), max_size=3),
    confusion=st.none() | st.lists(st.tuples(COUNTS, COUNTS), max_size=3).map(tuple),
    layers=st.lists(LAYERS, max_size=2).map(tuple),
    decision=st.none() | DECISIONS,
)
SPIKES = {"pooled": SHARES, "mean": SHARES, "exact_neurons": COUNTS, "neurons": COUNTS, "exact_counts": SHARES}
DIFFERENCES = st.builds(
    Difference,
    agreement=SHARES,
    output=st.builds(SpikeDifference, samples=COUNTS, **SPIKES),
    layers=st.lists(st.builds(LayerDifference, samples=COUNTS, layer=NAMES, **SPIKES), max_size=2).map(tuple),
    not_compared=st.lists(NAMES, max_size=2).map(tuple),
)
VERDICTS = st.builds(
    Verdict,
    rungs=st.lists(RUNGS, max_size=3, unique_by=lambda rung: rung.name).map(tuple),
    differences=st.lists(DIFFERENCES, max_size=2).map(tuple),
    checks=st.lists(CHECKS, max_size=3).map(tuple),
)

LAYER = LayerFigures("fc1", 10, 6.5, None, 1.25, 3, None, -9, 99, "bound", 7)
EMULATOR = Rung(
    "emulator",
    "emulator",
    "run",
    recording="recording-1a2b",
    arithmetic="int8/int16",
    weight_bits=8,
    time_steps=None,
    bins=None,
    perturbation=None,
    samples=2,
    accuracy=50.0,
    interval_95=(9.5, 90.5),
    right=1,
    labelled=2,
    silent=0,
    synops=80.0,
    spikes={"fc1": 6.5},
    confusion=((1, 0, 0), (1, 0, 0)),
    layers=(LAYER,),
    decision=Decision(0, None, None, None),
    energy="181 uJ per sample",
    energy_uj=181.0,
    power_mw=0.6,
    load=(CoreLoad("fc1", "fc1.0", 3, 500.5, 9_000.0, 8_000.0),),
    busiest_core="core 3",
)
OUTPUT = SpikeDifference(12.5, 13.0, 1, 2, 75.0, 2)
VERDICT = Verdict(
    (EMULATOR, Rung.not_run("board")),
    (Difference("emulator", "torch", "all", 100.0, OUTPUT, (LayerDifference(**vars(OUTPUT), layer="fc1"),), ("c",)),),
    (Check("min_accuracy", 50.0, 95.0, "%", False, "Accuracy: 50 %, at least 95 required", None, "emulator"),),
)


@given(VERDICTS)
def test_a_stored_verdict_comes_back(tmp_path_factory: pytest.TempPathFactory, verdict: Verdict) -> None:
    folder = tmp_path_factory.mktemp("verdict")
    save_verdict(verdict, folder)
    again = load_verdict(folder)
    assert again == verdict
    assert as_json(again) == as_json(verdict) == json.loads((folder / "verdict.json").read_text(encoding="utf-8"))


def test_the_form_is_the_one_that_scripts_read() -> None:
    spikes = {"exact_counts": 75.0, "exact_neurons": 1, "mean": 13.0, "neurons": 2, "pooled": 12.5, "samples": 2}
    layer = {
        "layer": "fc1",
        "neurons": 10,
        "rate_hz": 1.25,
        "saturated_neurons": None,
        "silent_neurons": 3,
        "spikes_per_sample": 6.5,
        "synops_per_sample": None,
        "v_highest": 99,
        "v_is": "bound",
        "v_lowest": -9,
        "weights_above": 7,
    }
    figures = ("accuracy", "interval_95", "right", "labelled", "silent", "synops", "confusion")
    nothing = dict.fromkeys(("recording", "arithmetic", "weight_bits", "time_steps", "bins", *figures))
    assert as_json(VERDICT) == {
        "version": 2,
        "units": dict(UNITS),
        "rungs": [
            {
                "accuracy": 50.0,
                "arithmetic": "int8/int16",
                "bins": None,
                "confusion": [[1, 0, 0], [1, 0, 0]],
                "decision": {"max_ms": None, "median_ms": None, "min_ms": None, "p95_ms": None, "samples": 0},
                "busiest_core": "core 3",
                "energy": "181 uJ per sample",
                "energy_uj": 181.0,
                "power_mw": 0.6,
                "load": [
                    {
                        "busiest_10ms_synops_per_s": 8000.0,
                        "busiest_ms_synops_per_s": 9000.0,
                        "core": 3,
                        "layer": "fc1",
                        "mean_synops_per_s": 500.5,
                        "part": "fc1.0",
                    }
                ],
                "interval_95": [9.5, 90.5],
                "labelled": 2,
                "layers": [layer],
                "name": "emulator",
                "perturbation": None,
                "recording": "recording-1a2b",
                "right": 1,
                "rung": "emulator",
                "samples": 2,
                "silent": 0,
                "spikes": {"fc1": 6.5},
                "status": "run",
                "synops": 80.0,
                "time_steps": None,
                "weight_bits": 8,
            },
            {"name": "board", "rung": "board", "status": "not run", "samples": 0, "spikes": {}, "layers": [], **nothing}
            | dict.fromkeys(("decision", "energy", "perturbation", "energy_uj", "power_mw", "busiest_core"))
            | {"load": []},
        ],
        "spike_difference": [
            {
                "agreement": 100.0,
                "layers": [{"layer": "fc1", **spikes}],
                "not_compared": ["c"],
                "details": None,
                "output": spikes,
                "reference": "emulator",
                "says": "all",
                "test": "torch",
            }
        ],
        "synops_per_sample": {"emulator": 80.0},
        "verdict": {
            "checks": [
                {
                    "id": "min_accuracy",
                    "limit": 95.0,
                    "passed": False,
                    "reference": None,
                    "says": "Accuracy: 50 %, at least 95 required",
                    "test": "emulator",
                    "unit": "%",
                    "value": 50.0,
                }
            ],
            "passed": False,
            "says": "Of 1 check, 1 failed.",
        },
    }


@pytest.mark.parametrize("text", ["", "{}", '{"verdict": {"checks": [{"id": 1}]}}', "[]", "\xff", "[" * 100_000])
def test_what_is_no_verdict_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "verdict.json").write_text(text, encoding="latin-1")
    with pytest.raises(ArtifactError, match=r"verdict\.json"):
        load_verdict(tmp_path)
    (tmp_path / "verdict.json").unlink()
    with pytest.raises(ArtifactError, match=r"verdict\.json: not readable"):
        load_verdict(tmp_path)


def damaged(change: Callable[[Any], Any]) -> dict[str, Any]:
    payload: dict[str, Any] = as_json(VERDICT)
    change(payload)
    return payload


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda p: p["rungs"][0].update(accuracy="high"),
            r"verdict\.json: rungs\.0\.accuracy: input should be a valid",
        ),
        (lambda p: p["rungs"][0].update(samples=1.5), r"rungs\.0\.samples: input should be a valid integer"),
        (lambda p: p["rungs"][0].pop("right") and None, r"rungs\.0\.right"),
        (lambda p: p["rungs"][1].update(status="lost"), r"rungs\.1\.status: input should be 'run' or 'not run'"),
        (lambda p: p["rungs"][0]["layers"][0].update(v_is="so"), r"rungs\.0\.layers\.0\.v_is"),
        (lambda p: p["spike_difference"][0]["output"].update(more=1), r"spike_difference\.0\.output\.more"),
        (lambda p: p["verdict"]["checks"][0].update(passed="no"), r"verdict\.checks\.0\.passed"),
        (
            lambda p: p["verdict"].update(passed=True),
            r"verdict\.passed: found true; need false, which follows from its checks",
        ),
        (lambda p: p.pop("units"), r"verdict\.json: units"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: Callable[[Any], Any], sentence: str) -> None:
    (tmp_path / "verdict.json").write_text(json.dumps(damaged(change)), encoding="utf-8")
    with pytest.raises(ArtifactError, match=sentence):
        load_verdict(tmp_path)


def test_every_wrong_field_has_its_sentence(tmp_path: Path) -> None:
    payload = damaged(lambda p: (p["rungs"][0].update(accuracy="high"), p["verdict"].pop("says")))
    (tmp_path / "verdict.json").write_text(json.dumps(payload), encoding="utf-8")
    with pytest.raises(ArtifactError) as caught:
        load_verdict(tmp_path)
    assert len(caught.value.problems) == 2


def version_1() -> Any:
    """VERDICT as version 1 wrote it, with a second run of the emulator."""
    payload: Any = as_json(VERDICT)
    del payload["version"]
    payload["rungs"].append(payload["rungs"][0] | {"name": "emulator 2"})
    payload["rungs"] = [
        {
            name: value
            for name, value in run.items()
            if name not in ("rung", "recording", "arithmetic", "weight_bits", "time_steps", "bins")
        }
        for run in payload["rungs"]
    ]
    for check in payload["verdict"]["checks"]:
        del check["reference"], check["test"]
    return payload


def test_a_verdict_of_version_1_is_upgraded(tmp_path: Path) -> None:
    (tmp_path / "verdict.json").write_text(json.dumps(version_1()), encoding="utf-8")
    found = load_verdict(tmp_path)
    unknown: Any = dict.fromkeys(("recording", "arithmetic", "weight_bits"))
    emulator = dataclasses.replace(EMULATOR, **unknown)
    assert found.rungs == (emulator, VERDICT.rungs[1], dataclasses.replace(emulator, name="emulator 2"))
    assert found.checks == (dataclasses.replace(VERDICT.checks[0], test=None),)
    assert found.differences == VERDICT.differences


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda p: p["rungs"][0].update(accuracy="high"), r"rungs\.0\.accuracy: input should be a valid"),
        (lambda p: p["rungs"].append(3), r"rungs\.3"),
        (lambda p: p["rungs"][0].update(name=3), r"rungs\.0\.name"),
        (lambda p: p.update(verdict=[]), r"verdict\.json: verdict"),
        (lambda p: p["verdict"].update(checks={}), r"verdict\.checks"),
        (lambda p: p.pop("rungs"), r"verdict\.json: rungs"),
    ],
)
def test_a_damaged_verdict_of_version_1_is_named(tmp_path: Path, change: Callable[[Any], Any], sentence: str) -> None:
    payload = version_1()
    change(payload)
    (tmp_path / "verdict.json").write_text(json.dumps(payload), encoding="utf-8")
    with pytest.raises(ArtifactError, match=sentence):
        load_verdict(tmp_path)


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        (99, r"format version 99; need version 2 or older\. Update deploytool"),
        ("2", r'version: found "2"'),
        (True, "version: found true"),
        (0, "version: found 0"),
        (None, "version: found null"),
    ],
)
def test_another_version_is_refused(tmp_path: Path, version: Any, sentence: str) -> None:
    (tmp_path / "verdict.json").write_text(json.dumps(as_json(VERDICT) | {"version": version}), encoding="utf-8")
    with pytest.raises(ArtifactError, match=sentence) as caught:
        load_verdict(tmp_path)
    assert caught.value.exit_code == 4


def test_nothing_of_a_verdict_can_be_edited() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        VERDICT.checks = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        EMULATOR.spikes["fc1"] = 0.0  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"decision": {"max_ms": None}}, "max_ms is missing; need median_ms, min_ms, max_ms together, or none of them"),
        ({"interval_95": None}, "interval_95 is missing; need accuracy, interval_95 together, or none of them"),
        ({"busiest_core": None}, "busiest_core is missing; need a sentence about load"),
    ],
)
def test_figures_that_belong_together_are_known_together(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    """A page that showed one of them and not the other was a traceback."""
    values = as_json(
        dataclasses.replace(VERDICT, rungs=(dataclasses.replace(EMULATOR, decision=Decision(1, 2, 1, 3)),))
    )
    stated = values["rungs"][0]
    for key, value in change.items():
        stated[key] = {**stated[key], **value} if isinstance(value, dict) else value
    (tmp_path / "verdict.json").write_text(json.dumps(values))
    with pytest.raises(ArtifactError, match=says):
        load_verdict(tmp_path)
