"""The table of board kinds by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

RAILS: Final = ("VDD_IO", "VDD_RAM", "VDD_LOGIC", "VDD_PIXEL_DIGITAL", "VDD_PIXEL_ANALOG")
"""The power rails of a kit, by the channel of its power monitor (Speck Dev Kit Datasheet, 2023, table 7)."""


class BoardKind(NamedTuple):
    """A kind of board: samna's name for it, its chip, and samna's names for its event input and output."""

    device_type: str
    chip: str
    source: str
    sink: str


_SPECK2E: Final = (
    "speck2e",
    "BasicSourceNode_speck2e_event_speck2e_input_event",
    "BasicSinkNode_speck2e_event_output_event",
)
_SPECK2F: Final = "speck2f", "BasicSourceNode_speck2f_event_input_event", "BasicSinkNode_speck2f_event_output_event"


BOARDS: Final[Mapping[str, BoardKind]] = MappingProxyType(
    {
        "speck2edevkit": BoardKind("Speck2eDevKit", *_SPECK2E),
        "speck2fdevkit": BoardKind("Speck2fDevKit", *_SPECK2F),
        "speck2fmodule": BoardKind("Speck2fModuleDevKit", *_SPECK2F),
    }
)
