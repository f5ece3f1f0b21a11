"""The verb device: what is connected, and what is known of it."""

from __future__ import annotations

from typing import Any, Final

from deploytool.base.errors import TargetError
from deploytool.chip.chips import chip_named

EMULATOR: Final = "emulator"


def devices() -> dict[str, Any]:
    """{"devices": every device that can be named, "boards": those connected, "missing": why no board can be used}.

    The emulator is always there.
    """
    from deploytool.run.targets.board import list_devices

    boards: dict[str, str] = {}
    missing = None
    try:
        boards = list_devices()
    except TargetError as error:
        missing = str(error)
    rows = [{"device": name, "is": says} for name, says in boards.items()]
    return {"devices": [EMULATOR, *boards], "boards": rows, "missing": missing or _none_connected(boards)}


def _none_connected(boards: dict[str, str]) -> str | None:
    return None if boards else "No board is connected, or its USB device may not be opened by this user."


def info(device: str) -> dict[str, Any]:
    """What is known of ``device``: its chip and cores; of a board also its identity, the driver, and the power rails.

    Raises UsageError for an unknown name, and TargetError if a board or its driver is missing.
    """
    if device == EMULATOR:
        return {"device": device, "is": "every chip in software, spike for spike", **_chip("speck2e")}
    from deploytool.run.targets.board import driver_version, kind_of_board, list_devices
    from deploytool.run.targets.board_kinds import RAILS

    kind, connected = kind_of_board(device), list_devices()
    if device not in connected:
        raise TargetError(device, "this board is not connected", ", ".join(connected) or "a board")
    found = {"device": device, "is": connected[device], "samna": driver_version(), "rails": list(RAILS)}
    return found | _chip(kind.chip)


def _chip(name: str) -> dict[str, Any]:
    chip = chip_named(name)
    cores = [
        {"core": i, "kernel_words": core.kernel_words, "neuron_words": core.neuron_words, "lanes": core.parallel_lanes}
        for i, core in enumerate(chip.cores)
    ]
    return {"chip": chip.name, "cores": cores}
