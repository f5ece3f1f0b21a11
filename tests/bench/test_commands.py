from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploytool.bench.speed import commands as bench
from deploytool.bench.speed.commands import _seconds, commands


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
    assert [row["command"] for row in rows] == [*(name for name, _ in bench.IN_ORDER), "pipeline, already stored"]
    for row in rows:
        if isinstance(row["process s"], float):
            assert row["s beyond Python"] == pytest.approx(row["process s"] - start["process s"])
