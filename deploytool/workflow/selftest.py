"""The self-test of a device: networks with known answers and open questions, stored with its page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deploytool.base.errors import UsageError
from deploytool.base.json_text import canonical_json
from deploytool.base.printable import printable_lines
from deploytool.chip.chips import chip_named
from deploytool.ir.self_test import SelfTest, as_json
from deploytool.store.artifact import Artifact, Request
from deploytool.store.cache import StageCache
from deploytool.store.file_names import SELFTEST, SELFTEST_PAGE
from deploytool.store.manifest import MADE_BY
from deploytool.workflow.device import EMULATOR
from deploytool.workflow.map import configure


def selftest(
    cache: StageCache, name: str, cores: Sequence[int] = (), tests: Sequence[str] = ()
) -> tuple[SelfTest, Artifact]:
    """What the device ``name`` answers, and the artifact with its page. By default all ``cores`` and all ``tests``.

    It always runs: a device may answer otherwise today. Raises UsageError for an unknown core or test, and TargetError
    if the device is missing.
    """
    from deploytool.run.selftest.run import TESTS, Device, run_selftest
    from deploytool.run.targets.options import OnBoard, Options
    from deploytool.run.targets.table import make_target

    chip = _chip_of(name)
    number = len(chip_named(chip).cores)
    if beyond := [core for core in cores if not 0 <= core < number]:
        raise UsageError("--core", f"found {beyond[0]}", f"0 to {number - 1}")
    fast = Options(configure, board=OnBoard(pace=None, power=False))
    device = Device(name, chip, make_target(name, Options(configure)), make_target(name, fast))
    with cache.messages.progress("self-test", "test") as tick:
        result = run_selftest(device, cores or range(number), tests or TESTS, tick)

    def write(folder: Path) -> None:
        from deploytool.report.selftest import render_selftest

        (folder / SELFTEST).write_text(canonical_json(as_json(result)), encoding="utf-8")
        (folder / SELFTEST_PAGE).write_text(printable_lines(render_selftest(result, MADE_BY)), encoding="utf-8")

    request = Request("selftest", {}, {"device": name, "cores": list(cores), "tests": list(tests)})
    return result, cache.store.put(request, write)


def _chip_of(name: str) -> str:
    """The chip of the device ``name``, which the emulator can be any of."""
    if name == EMULATOR:
        return "speck2e"
    from deploytool.run.targets.board import kind_of_board

    return kind_of_board(name).chip
