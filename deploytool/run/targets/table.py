"""The table of targets. To add a target, add a record to TARGETS; other code reads all its properties from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from deploytool.base.errors import UsageError
from deploytool.ir.program import Program
from deploytool.ir.spec.rule import Level
from deploytool.ir.spec.verify import ALLOW_MISMATCH, level_of, verify
from deploytool.ir.target import Target
from deploytool.run.record.checks import check_sendable, check_stream
from deploytool.run.targets.board_kinds import BOARDS
from deploytool.run.targets.options import CPU, DEFAULTS, DEVICES, Options


@dataclass(frozen=True)
class TargetKind:
    """The properties of a target. ``make(name, options)`` returns the target.

    ``mapped``: a recipe's pipeline runs the program mapped for the chip on it, not the float32 network.
    ``devices``: the devices that can compute it; empty for silicon. ``time_steps``: it is clock-driven and needs the
    number of steps.
    ``extremes``: it can measure the lowest and highest V.
    """

    make: Callable[[str, Options], Target]
    mapped: bool = True
    devices: tuple[str, ...] = ()
    time_steps: bool = False
    extremes: bool = False

    @property
    def computes(self) -> bool:
        """Whether it runs on a computer, where programs can be perturbed and samples run in several processes."""
        return bool(self.devices)


def _runs(program: Program) -> None:
    """Raises UnsupportedError unless the engines can run ``program``."""
    verify(program, level_of(program))


def _emulates(program: Program) -> None:
    """Raises UnsupportedError unless ``program`` is mapped for a chip. Thresholds may differ (perturbed programs)."""
    verify(program, Level.MAPPED, allow=ALLOW_MISMATCH)


def _quantised(_: str, options: Options) -> Target:
    from deploytool.run.engine.discretisation import TimeSteps
    from deploytool.run.targets.clock_target import ClockTarget

    assert options.time_steps is not None
    return ClockTarget(TimeSteps(options.time_steps, bins=options.bins), options)


def _simulator(_: str, options: Options) -> Target:
    from deploytool.run.targets.event_target import EventTarget

    return EventTarget("simulator", _runs, check_stream, options)


def _emulator(_: str, options: Options) -> Target:
    from deploytool.run.targets.event_target import EventTarget

    return EventTarget("emulator", _emulates, check_sendable, options)


def _board(name: str, options: Options) -> Target:
    from deploytool.run.targets.board import Board

    if options.configure is None:
        raise UsageError(name, "no function that configures the board", "the option configure")
    return Board(name, options.configure, options.tick, options.board)


TARGETS: Final[Mapping[str, TargetKind]] = MappingProxyType(
    {
        "quantised": TargetKind(_quantised, devices=(CPU,), time_steps=True),
        "simulator": TargetKind(_simulator, mapped=False, devices=DEVICES, extremes=True),
        "emulator": TargetKind(_emulator, devices=DEVICES, extremes=True),
        **dict.fromkeys(BOARDS, TargetKind(_board)),
    }
)
"""The targets by name. The name of a board is its kind and number, for example "speck2edevkit:0"."""


def kind_of(name: str) -> TargetKind:
    """The record of the target called ``name``. Raises UsageError for an unknown name."""
    kind = name.partition(":")[0]
    if kind not in TARGETS:
        raise UsageError("target", f"no target {name!r}", f"one of {', '.join(TARGETS)}", "Boards: speck2edevkit:0.")
    return TARGETS[kind]


def make_target(name: str, options: Options = DEFAULTS) -> Target:
    """The target called ``name``, for example "emulator" or "speck2edevkit:0".

    Raises UsageError for an unknown name and for time steps that are missing or have no effect, and TargetError if the
    board or its driver is missing.
    """
    check_time_steps(name, options.time_steps)
    return kind_of(name).make(name, options)


def options_of(chosen: Callable[[TargetKind], bool]) -> str:
    """The option that names one of the ``chosen`` targets, as in "--on quantised, simulator or emulator"."""
    *names, last = (name for name, kind in TARGETS.items() if chosen(kind))
    return f"--on {', '.join(names)} or {last}" if names else f"--on {last}"


def check_time_steps(on: str, time_steps: int | None) -> None:
    """Raises UsageError unless ``time_steps`` are given exactly if the target is clock-driven."""
    needed = kind_of(on).time_steps
    if needed and time_steps is None:
        raise UsageError(f"--on {on}", "no number of time steps", "--time-steps N")
    if time_steps is not None and not needed:
        found = f"given with --on {on}, which has no time steps"
        raise UsageError("--time-steps", found, options_of(lambda kind: kind.time_steps))


def check_device(device: str, on: str, spread: bool) -> None:
    """Raises UsageError unless ``device`` can compute a run ``on`` a target, or one that is ``spread`` over workers."""
    if device not in DEVICES:
        raise UsageError("--device", f"found {device!r}", " or ".join(DEVICES))
    if device == CPU:
        return
    if device not in kind_of(on).devices:
        found = f"{device} given with --on {on}"
        raise UsageError("--device", found, options_of(lambda kind: device in kind.devices))
    if spread:
        raise UsageError("--device", f"{device} given with --scheduler", "one of the two: workers compute on CPUs")
