"""Tests of the GPU engine in numba's simulator of a GPU, which must be chosen before numba is loaded.

They run in a child process, all together, because its start takes long; in this one each of them passes, or fails with
what is told there, as it did there.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Final, TypeAlias

import pytest

REPORT: Final = "DEPLOYTOOL_CHILD_REPORT"
"""The environment variable that tells the child in which file to report."""

Outcomes: TypeAlias = Mapping[str, tuple[str, str]]
"""{id of a test: (outcome, what pytest says of it)}."""


@pytest.fixture(scope="session")
def child_outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What came out of tests whose parameter ``child`` is "simulated". Several workers of pytest share one child."""
    chosen = [item for item in request.session.items if isinstance(item, pytest.Function) and hasattr(item, "callspec")]
    ids = [item.nodeid for item in chosen if item.callspec.params.get("child") == "simulated"]
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    report, environment = folder / "child.jsonl", {"NUMBA_ENABLE_CUDASIM": "1", "OMP_NUM_THREADS": "1"}
    with (folder / "child.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not report.exists():
            report.touch()
            subprocess.run(
                [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *ids],
                cwd=request.config.rootpath,
                env=os.environ | environment | {REPORT: str(report)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
    lines = map(json.loads, report.read_text(encoding="utf-8").splitlines())
    return {line["id"]: (line["outcome"], line["says"]) for line in lines}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Reports to the parent, in the child: each test, and fixtures only where they skip or fail."""
    if REPORT in os.environ and (report.when == "call" or not report.passed):
        line = {"id": report.nodeid, "outcome": report.outcome, "says": report.longreprtext}
        with open(os.environ[REPORT], "a", encoding="utf-8") as file:  # noqa: PTH123
            file.write(json.dumps(line) + "\n")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """In place of a test that ran in the child, whose fixture ``child`` has the outcomes: its outcome there."""
    outcomes: Outcomes | None = pyfuncitem.funcargs.get("child")
    if outcomes is None:
        return None
    outcome, says = outcomes.get(pyfuncitem.nodeid, ("failed", "It did not run in the child process."))
    if outcome == "skipped":
        pytest.skip(says)
    if outcome == "failed":
        pytest.fail(says, pytrace=False)
    return True
