"""What computes an event-driven run: this machine's processor, or a GPU. The result is the same, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from deploytool.base.errors import UsageError
from deploytool.base.progress import Tick
from deploytool.ir.events import EventStream
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording, RungName
from deploytool.run.engine import event_driven as engine

CPU: Final = "cpu"
CUDA: Final = "cuda"
DEVICES: Final = (CPU, CUDA)

EVENT_DRIVEN: Final = ("simulator", "emulator")
"""The targets that compute."""


def check_device(device: str, on: str, scheduler: str | None) -> None:
    """Raises UsageError unless a run ``on`` a target, spread by ``scheduler``, can compute on ``device``."""
    if device not in DEVICES:
        raise UsageError("--device", f"found {device!r}", " or ".join(DEVICES))
    if device != CPU and on not in EVENT_DRIVEN:
        raise UsageError("--device", f"{device} given with --on {on}", f"--on {' or '.join(EVENT_DRIVEN)}")
    if device != CPU and scheduler is not None:
        raise UsageError("--device", f"{device} given with --scheduler", "one of the two: workers compute on CPUs")


def run_events(
    device: str,
    program: Program,
    streams: Iterable[EventStream],
    rung: RungName,
    watch: Sequence[str] | None,
    rasters: int,
    threads: int,
    tick: Tick,
    check: Callable[[Program, EventStream], None],
    vectors: bool = True,
) -> Recording:
    """What `event_driven.run_events` gives, computed on ``device``; ``threads`` are those of the CPU.

    Raises TargetError when there is no such GPU.
    """
    if device == CPU:
        return engine.run_events(program, streams, rung, watch, rasters, threads, tick, check, vectors)
    from deploytool.run.cuda.engine import run_events as run_on_gpu

    return run_on_gpu(program, streams, rung, watch, rasters, tick, check, vectors)
