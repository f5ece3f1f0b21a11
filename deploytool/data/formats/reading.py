"""What a person says about event files, and what a reader finds in one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Final

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError, UsageError

COLUMNS: Final = "txyp"
"""The four columns of an event: time, column, row, polarity."""

UNITS_US: Final = {"us": 1.0, "ms": 1000.0, "s": 1e6, "ns": 0.001}
"""The units of time that can be stated, in microseconds."""

CAMERAS: Final = {"dvs128": (128, 128), "davis240": (180, 240), "davis346": (260, 346), "davis640": (480, 640)}
"""The cameras of AEDAT 2.0 files with their size (H, W)."""


SIDE_MAX: Final = 1 << 16
"""The most rows or columns of a camera: places of events have 16 bits."""


def camera_size(rows: str | int, columns: str | int, name: str) -> tuple[int, int]:
    """(H, W) of the camera that the file ``name`` states. Raises InputError for one that no camera has."""
    sides = [side if len(str(side)) <= len(str(SIDE_MAX)) else SIDE_MAX + 1 for side in (rows, columns)]
    height, width = map(int, sides)
    if not (0 < height <= SIDE_MAX and 0 < width <= SIDE_MAX):
        found = f"a camera of {rows!s:.20}x{columns!s:.20} pixels"
        raise InputError(name, found, f"1 to {SIDE_MAX} rows and columns", "Its header is damaged.")
    return height, width


@dataclass(frozen=True)
class Reading:
    """Options for reading event files that do not state them themselves.

    ``columns`` is the order of the columns of a plain array or of a table without names, such as "xypt".
    ``time_unit`` is the unit of times in arrays and tables; None means microseconds unless that is implausible.
    With ``absolute_time`` a recording begins when its clock was 0, otherwise at its first event. ``unwrap`` adds
    2^k where time jumps back because a k-bit clock overflowed; formats with a rule of their own do not need it.
    ``camera`` is that of an AEDAT 2.0 file without its name. ``group`` holds the events in an HDF5 file with several
    recordings.
    Raises UsageError for unknown columns, an unknown unit or an unknown camera.
    """

    columns: str | None = None
    time_unit: str | None = None
    absolute_time: bool = False
    unwrap: bool = False
    camera: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        if self.columns is not None and sorted(self.columns) != sorted(COLUMNS):
            need = "each of the letters x, y, t and p once, in the order of the columns"
            raise UsageError("--columns", f"found {self.columns!r}", need, "For example --columns xypt.")
        if self.time_unit is not None and self.time_unit not in UNITS_US:
            raise UsageError("--time-unit", f"found {self.time_unit!r}", f"one of {', '.join(UNITS_US)}")
        if self.camera is not None and self.camera not in CAMERAS:
            raise UsageError("--camera", f"found {self.camera!r}", f"one of {', '.join(CAMERAS)}")

    @property
    def options(self) -> dict[str, str | bool]:
        """{option: value} of the stated options, with their command line names."""
        values = {f"--{key.replace('_', '-')}": value for key, value in asdict(self).items()}
        return {option: value for option, value in values.items() if value}


AS_IT_IS: Final = Reading()
AT_CLOCK: Final = Reading(absolute_time=True)
"""For data sets whose clock began with the sample."""


@dataclass(frozen=True, eq=False)
class RawEvents:
    """The events in a file as a reader finds them, N of each: ``t``, ``x``, ``y`` and ``p``, of any type of number.

    ``unit`` is that of the times if the format defines it. ``features``: ``p`` is a feature number, not a polarity.
    ``sensor`` (H, W) is the camera size stated in the file; None if it states none.
    """

    t: Array
    x: Array
    y: Array
    p: Array
    unit: str | None = "us"
    features: bool = False
    sensor: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.t)

    def take(self, chosen: slice | Array) -> RawEvents:
        """Those of the events that are ``chosen``, by index or by a mark for each."""
        return replace(self, t=self.t[chosen], x=self.x[chosen], y=self.y[chosen], p=self.p[chosen])
