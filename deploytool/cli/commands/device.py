"""The commands of device: what is connected, the self-test, and runs on a board."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from deploytool.cli.command import command
from deploytool.cli.completion import CompletedGroup
from deploytool.cli.options import DataFolderOption, DownloadOption, ReadingOptions, SamplesOption
from deploytool.cli.samples import ShapingOptions

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation

DeviceArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="DEVICE", help="A board such as speck2edevkit:0, or emulator.")
]


@command("deploytool device list", name="list")
def device_list(invocation: Invocation) -> None:
    """List the devices that can be used now, and what is missing for boards."""
    from deploytool.workflow.device import devices

    invocation.show(devices())


@command("deploytool device info emulator", name="info")
def device_info(invocation: Invocation, device: DeviceArgument) -> None:
    """Print a device's chip and cores, and of a board its serial number, firmware, driver and power rails."""
    from deploytool.workflow.device import info

    invocation.show(info(device))


@command("deploytool device selftest emulator --core 0", name="selftest")
def device_selftest(
    invocation: Invocation,
    device: DeviceArgument,
    core: Annotated[list[int] | None, typer.Option(help="Only this core. Repeatable; by default all.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="TEST", help="Only this test. Repeatable; by default all.")
    ] = None,
) -> int:
    """Run networks with known answers on every core, ask the chip the open questions, and write what it answers.

    Every spike is compared with the emulator's. The exit code is 9 if one differs, or if an answer is not the assumed
    one.
    """
    from deploytool.workflow.selftest import selftest

    result, artifact = selftest(invocation.cache, device, tuple(core or ()), tuple(only or ()))
    return invocation.show_selftest(result, artifact)


@dataclass(frozen=True)
class DeviceRunOptions:
    """What a device runs, how fast, and how often."""

    on: Annotated[str, typer.Option(metavar="DEVICE", help="A board such as speck2edevkit:0, or emulator.")]
    data: Annotated[str | None, typer.Option(help="A data set's name, an event file, or a folder of event files.")] = (
        None
    )
    root: DataFolderOption = None
    download: DownloadOption = False
    samples: SamplesOption = None
    pace: Annotated[
        str, typer.Option(metavar="own|max|X", help="Send events as recorded, as fast as taken, or X times faster.")
    ] = "own"
    repeats: Annotated[int, typer.Option(min=1, help="Number of equal runs; they are compared.")] = 1
    rasters: Annotated[int, typer.Option(min=0, help="Keep every spike of this number of samples.")] = 0
    live: Annotated[bool, typer.Option("--live", help="The input is the board's sensor.")] = False
    seconds: Annotated[float, typer.Option(min=0.1, help="Duration with --live.")] = 10.0


@command("deploytool device run program@latest --on speck2edevkit:0 --data events.npy --pace max", name="run")
def device_run(
    invocation: Invocation,
    program: Annotated[str, typer.Argument(metavar="PROGRAM", help="A mapped program, or a shipped model.")],
    options: DeviceRunOptions,
    files: ReadingOptions,
    shaping: ShapingOptions,
) -> None:
    """Run a program on a device: recorded events at a pace, or with --live what the board's sensor sees.

    However it ends, also by Ctrl-C, a board is left reset.
    """
    from deploytool.base.errors import UsageError
    from deploytool.data.formats.reading import Reading
    from deploytool.ir.target import Watch
    from deploytool.run.jobs.job import Job
    from deploytool.workflow import device as devices
    from deploytool.workflow import run as running
    from deploytool.workflow.sources import samples as sample_sources

    if options.live == (options.data is not None):
        raise UsageError("--data, --live", "both given" if options.live else "none given", "one of the two")
    say = invocation.cache.messages.say
    if options.data is None:
        invocation.show(devices.live(invocation.cache, program, options.on, options.seconds, say))
        return
    reading = Reading(**vars(files))
    invocation.obtain(options)
    keys = {"root": options.root, "test_samples": options.samples} | shaping.keys
    source = sample_sources.chosen(options.data, keys, reading, say)
    job = Job(options.on, watch=Watch(None, options.rasters), pace=devices.parse_pace(options.pace))
    ask = functools.partial(running.run, invocation.cache, program, samples=source)
    if options.repeats == 1:
        invocation.show_artifact(ask(job))
    else:
        invocation.show(devices.repeated(job, options.repeats, ask))


@command("deploytool device record speck2edevkit:0 events.npy --seconds 5", name="record")
def device_record(
    invocation: Invocation,
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="A board such as speck2edevkit:0.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The .npy file to write.")],
    seconds: Annotated[float, typer.Option(min=0.1, help="Duration of the recording.")] = 10.0,
) -> None:
    """Write what a board's sensor sees to a file that --data reads. Ctrl-C ends it and keeps what was recorded."""
    from deploytool.workflow.device import record

    invocation.show(record(device, file, seconds))


device: Final = CompletedGroup(
    name="device",
    commands=(device_list, device_info, device_selftest, device_run, device_record),
    help="Boards that are connected.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
