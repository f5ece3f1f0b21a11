"""The benchmark of a user's network: what it measures, and when it says that something is slower."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from helpers.command import answer, invoke, refusal

from deploytool.base.errors import InputError, UsageError
from deploytool.base.progress import no_progress
from deploytool.bench.compare import OF_NETWORKS, read_earlier, slower
from deploytool.bench.speed.networks import NMNIST, Spiking, network, random_stream
from deploytool.bench.speed.program import LEAST_NOISE, measure, noise_of
from deploytool.run.targets.table import make_target


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    streams = [random_stream(NMNIST, 500, seed) for seed in range(3)]
    layers = (Spiking(4, 3, 0.5, padding=1, pool=2), Spiking(10, 17, 0.1))
    return measure(network(NMNIST, layers, "int8/int16", streams[0]), streams, 2, no_progress)


def test_layers_have_their_counts_and_shares_of_the_time(measured: dict[str, Any]) -> None:
    streams = [random_stream(NMNIST, 500, seed) for seed in range(3)]
    layers = (Spiking(4, 3, 0.5, padding=1, pool=2), Spiking(10, 17, 0.1))
    program = network(NMNIST, layers, "int8/int16", streams[0])
    wanted = make_target("simulator").run(program, [streams[n % 3] for n in range(measured["samples"])])
    first, last = measured["layers"]
    assert (first["loop"], last["loop"]) == ("event-stationary", "in registers")
    assert (first["layer"], last["map"]) == ("layer0", "10x1x1")
    assert first["events"] == 500
    assert first["spikes"] == last["events"] == pytest.approx(wanted.counts["layer0"].sum() / measured["samples"])
    assert first["SynOps"] + last["SynOps"] == pytest.approx(wanted.synops.mean(), abs=0.01)
    assert sum(part["share in %"] for part in measured["where the time goes"]) == pytest.approx(100, abs=0.01)
    assert {row["threads"] for row in measured["speed"]} >= {1}
    assert all(row["samples/s"] > 0 for row in measured["speed"])


def test_noise_is_how_far_the_median_lies_above_the_shortest() -> None:
    assert noise_of([1.0, 1.2, 1.1]) == pytest.approx(0.1)
    assert noise_of([1.0, 1.0, 5.0]) == LEAST_NOISE


@pytest.fixture
def earlier(measured: dict[str, Any], tmp_path: Path) -> tuple[dict[str, Any], Path]:
    found = {"program": "p", "data": "d", **copy.deepcopy(measured)}
    path = tmp_path / "old.json"
    path.write_text(json.dumps(found))
    return found, path


def test_what_is_slower_than_the_noise_of_both_is_slower(earlier: tuple[dict[str, Any], Path]) -> None:
    now, path = earlier
    assert slower(now, read_earlier(path, OF_NETWORKS))["slower"] == []
    measures = now["measures"]
    noise = measures["layer layer0"]["noise in %"] / 50
    measures["layer layer0"]["times the limit's"] *= 1 + noise + 0.01
    measures["latency, median"]["times the limit's"] *= 1 + measures["latency, median"]["noise in %"] / 50 - 0.01
    measures["sample, one thread"]["times the limit's"] /= 2 + measures["sample, one thread"]["noise in %"] / 50
    found = slower(now, read_earlier(path, OF_NETWORKS))
    assert found["slower"] == ["layer layer0"]
    says = {row["what"]: row["says"] for row in found["compared"]}
    assert says["latency, median"] == "the same"
    assert says["sample, one thread"] == "faster"


@pytest.mark.parametrize("change", ["program", "data", "arithmetic", "machine"])
def test_only_the_same_task_on_the_same_machine_is_compared(change: str, earlier: tuple[dict[str, Any], Path]) -> None:
    now, path = earlier
    then = {**now, change: {**now["machine"], "processor": "another"} if change == "machine" else "another"}
    path.write_text(json.dumps(then))
    with pytest.raises(UsageError):
        slower(now, read_earlier(path, OF_NETWORKS))


MEASURE = '{"ms": 1, "noise in %": 2, "times the limit\'s": 3}'


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", '{"measures": 3}', '{"speed": []}', '{"measures": [1]}', '{"measures": {"a": 1}}'),
        f'{{"measures": {{"a": {MEASURE}}}, "machine": "this one"}}',
        *(
            f'{{"measures": {{"a": {MEASURE.replace(*wrong)}}}}}'
            for wrong in (("3", "0"), ('"ms"', '"s"'), ("2", '""'))
        ),
    ],
)
def test_a_file_that_is_no_answer_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(text)
    with pytest.raises(InputError, match="no earlier answer; need what bench NETWORK --json printed"):
        read_earlier(tmp_path / "old.json", OF_NETWORKS)


def test_an_earlier_answer_is_read_before_anything_is_measured(tmp_path: Path) -> None:
    for what in ("nothing.nir", "commands"):
        assert "no earlier answer" in refusal(invoke(tmp_path, "bench", what, "--compare", tmp_path / "old.json"), 5)


def test_the_command_measures_a_shipped_model_and_compares_it(tmp_path: Path) -> None:
    arguments = ["bench", "zoo:digits", "--repeats", "2", "--rate", "2000", "--duration-ms", "20", "--json"]
    old = answer(invoke(tmp_path, *arguments))
    assert old["target"] == "simulator"
    assert old["events per sample"] == 40
    assert {"machine", "speed", "latency of one sample in ms", "layers", "where the time goes"} <= set(old)
    for row in old["measures"].values():
        row["times the limit's"] = row["times the limit's"] / 100
    (tmp_path / "old.json").write_text(json.dumps(old))
    again = answer(invoke(tmp_path, *arguments, "--compare", tmp_path / "old.json"), 9)
    assert "sample, one thread" in again["slower"]
    assert all(row["says"] == "slower" for row in again["compared"])


def test_a_claim_or_a_network_is_not_asked_of_another_benchmark(tmp_path: Path) -> None:
    assert "bench claims" in refusal(invoke(tmp_path, "bench", "check", "--claim", "x"), 2)
    assert "a network" in refusal(invoke(tmp_path, "bench", "check", "--data", "x"), 2)
    assert "nothing.nir" in refusal(invoke(tmp_path, "bench", "nothing.nir"), 4)
