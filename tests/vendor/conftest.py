"""The vendor's validator as a fixture, and the table of what it and we said."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
VENDOR = HERE.parents[1] / ".venv-vendor"
TABLE: Counter[str] = Counter()


class Validator:
    """samna 0.7.1 in a child process, started again when it dies."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[str] | None = None

    def __call__(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """{"ok", "says", "read"}, {"refused": why}, or {"died": exit status}."""
        if self.child is None:
            self.child = subprocess.Popen(
                [VENDOR / "bin" / "python", HERE / "server.py"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        line = ""
        with suppress(BrokenPipeError):
            self.child.stdin.write(json.dumps(configuration) + "\n")
            self.child.stdin.flush()
            line = self.child.stdout.readline()
        return dict(json.loads(line)) if line else {"died": self.close()}

    def close(self) -> int:
        """The exit status of the child, which is ended."""
        if self.child is None:
            return 0
        with suppress(BrokenPipeError), self.child:
            pass
        status, self.child = self.child.wait(), None
        return status


@pytest.fixture(scope="session")
def validator() -> Iterator[Validator]:
    if not (VENDOR / "ready").is_file():
        pytest.skip("no .venv-vendor with samna 0.7.1 on CPython 3.10 (make vendor-check makes it)")
    started = Validator()
    yield started
    started.close()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if TABLE:
        terminalreporter.section("our rules and the vendor's validator (samna 0.7.1, speck2b)")
        for row, count in TABLE.items():
            terminalreporter.line(f"{count:6,}  {row}")


@pytest.fixture(scope="session")
def table() -> Counter[str]:
    """How many networks came out how."""
    return TABLE
