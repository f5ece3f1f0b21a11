"""What every test may use: the third-party data beside the checkout, and a quiet profile for hypothesis."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from helpers.command import RECIPE, Deploytool, invoke
from hypothesis import settings

settings.register_profile("deploytool", deadline=None, print_blob=True)
settings.load_profile("deploytool")
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) == signal.SIG_IGN:  # as a shell leaves it in the background, and nohup
        signal.signal(number, usual)
os.environ.setdefault("COLUMNS", "120")
os.environ.setdefault("NO_COLOR", "1")

SHARED = Path(__file__).parents[1].parent / "shared" / "data"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what was not run and why, in lines that .ci/run repeats at its end."""
    skipped = terminalreporter.stats.get("skipped", ())
    files = {f"{report.nodeid}: {_reason(report)}" for report in skipped if isinstance(report, pytest.CollectReport)}
    tests = Counter(_reason(report) for report in skipped if isinstance(report, pytest.TestReport))
    counted = [f"{number} test{'s' * (number > 1)}: {reason}" for reason, number in tests.items()]
    for line in sorted(files) + sorted(counted):
        terminalreporter.write_line(f"not run: {line}")


def _reason(report: pytest.CollectReport | pytest.TestReport) -> str:
    assert isinstance(report.longrepr, tuple)
    return report.longrepr[2].removeprefix("Skipped: ")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings and third-party files; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("no third-party data beside this checkout (../shared/data)")
    return SHARED


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recipe.toml and the store of its pipeline."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "recipe.toml").write_text(RECIPE)
    result = invoke(folder, "pipeline", folder / "recipe.toml")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def program(made: Path) -> str:
    """The name of the program that the pipeline mapped for the chip."""
    folders = (made / "store").glob("program-*/configuration.json")
    return min(folders, key=lambda path: path.stat().st_mtime).parent.name


@pytest.fixture
def cli(made: Path) -> Deploytool:
    return lambda *arguments: invoke(made, *arguments)
