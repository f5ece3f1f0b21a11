"""The commands of device: what is connected, the self-test, and runs on a board."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from deploytool.cli.command import command

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation

device_app: Final = typer.Typer(help="Boards that are connected.", no_args_is_help=True)

DeviceArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="DEVICE", help="A board such as speck2edevkit:0, or emulator.")
]


@command(device_app, "deploytool device list", name="list")
def device_list(invocation: Invocation) -> None:
    """List the devices that can be used now, and what is missing for boards."""
    from deploytool.workflow.device import devices

    invocation.show(devices())


@command(device_app, "deploytool device info emulator", name="info")
def device_info(invocation: Invocation, device: DeviceArgument) -> None:
    """Print a device's chip and cores, and of a board its serial number, firmware, driver and power rails."""
    from deploytool.workflow.device import info

    invocation.show(info(device))


@command(device_app, "deploytool device selftest emulator --core 0", name="selftest")
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
