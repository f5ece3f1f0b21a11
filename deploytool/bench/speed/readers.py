"""Reading event files: events per second from the file to an EventStream, compared with another reader and with reading
the bytes; and the memory that reading in parts takes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.base.files import temporary_folder
from deploytool.bench.speed.recordings import HEIGHT, WIDTH, WRITERS, Columns, columns
from deploytool.bench.speed.timing import in_turn
from deploytool.data.formats.reading import AT_CLOCK
from deploytool.data.formats.recording import read_whole
from deploytool.data.formats.table import FORMATS
from deploytool.ir.events import EventStream

EVENTS: Final = 2_000_000
PEER: Final = "expelliarmus"
OF_PEER: Final = ("dat", "evt2", "evt3")
"""The formats that the peer reads, by its names, which are ours."""
LONG: Final = {"dat": 20_000_000, "evt3": 20_000_000, "table": 5_000_000}
"""Events of the files of which the memory is measured."""
SHAPE: Final[Shape] = (2, HEIGHT, WIDTH)

_CHILD: Final = """
import sys
from pathlib import Path
from deploytool.data.formats.recording import EventFile
from deploytool.data.formats.table import FORMATS

def resident_kb(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))

before = resident_kb("VmRSS")
number = sum(len(events) for events in EventFile(Path(sys.argv[1]), FORMATS[sys.argv[2]]).parts())
print(number, resident_kb("VmHWM") - before)
"""


def readers() -> dict[str, Any]:
    """One row per format: events per second on one core, as a ratio to the peer's and to reading the bytes; and one row
    per long file: the peak memory of reading it in parts."""
    found = columns(EVENTS)
    return {
        "speed": [_rate(kind, found) for kind in WRITERS],
        "memory": [_memory(kind, columns(number)) for kind, number in LONG.items()],
    }


@contextmanager
def _written(kind: str, found: Columns) -> Iterator[Path]:
    """A file with the events ``found``, of the format called ``kind`` in FORMATS, until the end of the context."""
    with temporary_folder() as folder:
        path = folder / f"recording{FORMATS[kind].suffixes[0]}"
        WRITERS[kind](path, found)
        yield path


def _rate(kind: str, found: Columns) -> dict[str, Any]:
    with _written(kind, found) as path:
        return _rate_of(path, kind)


def _rate_of(path: Path, kind: str) -> dict[str, Any]:
    """The figures of the file ``path``, of the format called ``kind``."""

    def own() -> EventStream:
        found = read_whole(path, FORMATS[kind], AT_CLOCK, SHAPE)
        return EventStream(found.events, SHAPE, found.seen.duration_us)

    def its_bytes() -> Any:
        return np.fromfile(path, np.uint8)

    sides = [own, its_bytes]
    has_peer = kind in OF_PEER and importlib.util.find_spec(PEER) is not None
    if has_peer:
        from expelliarmus import Wizard

        wizard = Wizard(encoding=kind)
        sides.append(lambda: wizard.read(str(path)))
    number = len(own())
    seconds = in_turn(*sides, clock=time.thread_time)
    peer = f"not run: {PEER} is not installed" if kind in OF_PEER else "none"
    return {
        "format": kind,
        "M events/s": number / seconds[0] / 1e6,
        "MB/s": path.stat().st_size / seconds[0] / 1e6,
        "x time of np.fromfile": seconds[0] / seconds[1],
        f"x time of {PEER}": seconds[0] / seconds[2] if has_peer else peer,
    }


def _memory(kind: str, found: Columns) -> dict[str, Any]:
    """Peak memory, in a separate process, of reading a file in parts; needs Linux."""
    with _written(kind, found) as path:
        call = [sys.executable, "-c", _CHILD, str(path), kind]
        read, peak_kb = subprocess.run(call, capture_output=True, text=True, check=True).stdout.split()
        megabytes = path.stat().st_size / 1e6
    return {"format": kind, "events": int(read), "MB in the file": megabytes, "peak MB": int(peak_kb) / 1e3}
