from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.command import answer, invoke, refusal

from deploytool.bench.speed import commands as bench
from deploytool.bench.speed.commands import _seconds, commands
from deploytool.bench.speed.program import LEAST_NOISE


def test_the_time_of_a_process_is_its_computing_not_its_waiting(tmp_path: Path) -> None:
    waits = _seconds((sys.executable, "-c", "import time; time.sleep(0.5)"), tmp_path)
    code = "import time\nwhile time.process_time() < 0.7: pass"
    computes = _seconds((sys.executable, "-c", code), tmp_path)
    assert computes >= 0.7
    assert waits < computes - 0.2
    with pytest.raises(subprocess.CalledProcessError):
        _seconds((sys.executable, "-c", "raise SystemExit(1)"), tmp_path)


def test_every_command_succeeds_and_has_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr(bench, "REPEATS", 1)
    start, *rows = commands()
    pipeline = () if importlib.util.find_spec("torch") is None else (bench.AGAIN_PIPELINE,)
    timed = [row["command"] for row in rows if isinstance(row["process s"], float)]
    assert timed == [*(name for name, _ in bench.IN_ORDER), *pipeline]
    assert rows[-1] == {"command": bench.OF_NMNIST, "process s": "not run: it needs --root"}
    for row in rows:
        if isinstance(row["process s"], float):
            assert row["s beyond Python"] == pytest.approx(row["process s"] - start["process s"])
            assert row["noise in %"] == pytest.approx(100 * LEAST_NOISE)
    assert list(bench.measures(rows)) == timed


def test_runs_on_nmnist_state_what_is_not_the_engine(monkeypatch: pytest.MonkeyPatch, shared_data: Path) -> None:
    monkeypatch.setattr(bench, "IN_ORDER", ())
    monkeypatch.setattr(bench, "NMNIST", (*bench.NMNIST[:5], "20", *bench.NMNIST[6:]))
    found = bench._round(shared_data)
    first, again = f"{bench.OF_NMNIST}, the first on this data", f"{bench.OF_NMNIST}, with prepared samples"
    taken = {name: [seconds] for name, seconds in found.items()}
    assert 0 < found[bench.ENGINE] < found[again] < found[first]
    row = bench._row(first, taken[first], taken)
    wanted = found[first] - found[bench.PYTHON] - found[bench.ENGINE]
    assert row["s beyond Python and the engine"] == pytest.approx(wanted)


def test_a_command_that_takes_longer_than_before_fails_the_comparison(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seconds = {bench.PYTHON: 0.02, bench.UNIT: 0.2, "help": 0.1, "map": 0.4}
    monkeypatch.setattr(bench, "_round", lambda _: dict(seconds))
    monkeypatch.setattr(bench, "_pipeline_again", lambda: [0.5])
    asked = ("bench", "commands", "--json")
    (tmp_path / "old.json").write_text(json.dumps(answer(invoke(tmp_path, *asked))))
    compare = (*asked, "--compare", tmp_path / "old.json")
    seconds[bench.UNIT], seconds["map"] = 0.4, 0.8  # a slower machine
    says = {row["what"]: row["says"] for row in answer(invoke(tmp_path, *compare))["compared"]}
    assert (says["help"], says["map"]) == ("faster", "the same")
    seconds["map"] = 0.9
    assert answer(invoke(tmp_path, *compare), 9)["slower"] == ["map"]


def test_an_answer_of_another_benchmark_is_not_compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench, "_round", lambda _: {bench.PYTHON: 0.02, bench.UNIT: 0.2})
    monkeypatch.setattr(bench, "_pipeline_again", lambda: [0.5])
    (tmp_path / "old.json").write_text('{"measures": {}, "machine": {"processor": "one"}}')
    said = refusal(invoke(tmp_path, "bench", "commands", "--compare", tmp_path / "old.json"), 5)
    assert "no earlier answer; need what bench commands --json printed" in said
