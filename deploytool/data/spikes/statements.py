"""What a person says about a foreign recording that its file does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deploytool.base.errors import UsageError
from deploytool.data.formats.reading import UNITS_US
from deploytool.ir.recording import RUNGS


@dataclass(frozen=True)
class Statements:
    """What a file does not say itself: the ``rung`` that it is of, ``layer`` if it is of one that it does not name,
    the unit of its times, what its names mean, and layers that were recorded even if the file has no spike of them.

    Raises UsageError for an unknown rung or unit.
    """

    rung: str
    layer: str | None = None
    time_unit: str | None = None
    renames: Mapping[str, str] = field(default_factory=dict)
    watch: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.rung not in RUNGS:
            raise UsageError("--rung", f"found {self.rung!r}", f"one of {', '.join(RUNGS)}")
        if self.time_unit is not None and self.time_unit not in UNITS_US:
            raise UsageError("--time-unit", f"found {self.time_unit!r}", f"one of {', '.join(UNITS_US)}")
