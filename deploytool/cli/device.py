"""The commands for boards: device list and device selftest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from deploytool.cli.command import command

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation

device_app: Final = typer.Typer(help="Boards that are connected.", no_args_is_help=True)


@command(device_app, "deploytool device list", name="list")
def device_list(invocation: Invocation) -> None:
    """List the boards that are connected."""
    from deploytool.run.targets.board import list_devices

    invocation.show({"devices": list_devices()})


@command(device_app, "deploytool device selftest emulator", name="selftest")
def device_selftest(
    invocation: Invocation,
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="A board such as speck2edevkit:0, or emulator.")],
) -> None:
    """Run a small network on a device and compare every count with the executable specification."""
    from deploytool.workflow.selftest import selftest

    invocation.show(selftest(device))
