"""Recordings in files: all are read once and checked before anything else, and again when their events are needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.base.errors import InputError
from deploytool.data.formats.reading import AS_IT_IS, Reading
from deploytool.data.formats.recording import EventFile
from deploytool.data.formats.uniform import Seen
from deploytool.data.recordings.content import Signature, settled, signature
from deploytool.data.recordings.folder import Folder
from deploytool.data.recordings.labels import refuse
from deploytool.ir.events import EVENT, Events, check_events

HELD: Final = 1 << 21
"""Number of events of the recordings of one part of a folder that are kept in memory, at 14 bytes each."""

Sensor: TypeAlias = tuple[int, int]
"""(H, W) of a camera."""


@dataclass(frozen=True)
class Camera:
    """The map of recordings: ``features`` and (H, W) of the ``sensor``.

    With ``stated`` a person said so, which overrules what a file states. ``todo`` is the advice about other cameras.
    """

    features: int
    sensor: Sensor
    stated: bool = False
    todo: str = ""

    @property
    def shape(self) -> Shape:
        """(C, H, W)."""
        return (self.features, *self.sensor)

    def refuse_other(self, stated: Sensor | None, name: str) -> None:
        """Raises InputError if the file ``name`` has ``stated`` another camera."""
        if stated is None or stated == self.sensor or self.stated:
            return
        found = f"a recording of a camera of {size(stated)} pixels"
        raise InputError(name, found, f"one of {size(self.sensor)}", self.todo)

    def fitted(self, events: Events, name: str) -> Events:
        """``events`` of the file ``name`` on this map: one feature merges both polarities.

        Raises InputError for events outside the map.
        """
        if self.features == 1 and len(events) and int(events["c"].max()) == 1:
            events = events.copy()
            events["c"] = 0
        check_events(events, self.shape, name)
        return events

    def merges(self, seen: Seen) -> bool:
        """Whether both polarities of a recording that showed ``seen`` become one feature."""
        return self.features == 1 and seen.extent[0] == 2


def size(sensor: Sensor) -> str:
    """``sensor`` as text: 240x304."""
    return f"{sensor[0]}x{sensor[1]}"


class Recordings:
    """The recordings of ``folder`` on the map of ``camera``. All are read and checked when this is made.

    ``seen`` is what each of them shows. The first ``held`` events, and the file that was read last, stay in memory;
    others are read again, from where the wanted span begins. Raises InputError with the problems of all files.
    """

    def __init__(self, folder: Folder, camera: Camera, reading: Reading = AS_IT_IS, held: int = HELD) -> None:
        self.files, self.camera, self.reading = folder.files, camera, reading
        self.seen: list[Seen] = []
        self._room = held
        self._held: dict[int, Events] = {}
        self._last: tuple[int, EventFile] | None = None
        problems = list(folder.problems)
        for index in range(len(self.files)):
            try:
                self.seen.append(self._checked(index))
            except InputError as error:
                problems.append(error)
        refuse(problems)

    def __len__(self) -> int:
        return len(self.files)

    def events(self, index: int, start_us: int = 0, end_us: int | None = None) -> Events:
        """The events of recording ``index`` from ``start_us`` to before ``end_us``, at their times."""
        if (whole := self._held.get(index)) is None:
            return self.camera.fitted(self._file(index).between(start_us, end_us), str(self.files[index][0]))
        low = int(np.searchsorted(whole["t"], start_us))
        high = len(whole) if end_us is None else int(np.searchsorted(whole["t"], end_us))
        return whole[low:high]

    def _file(self, index: int) -> EventFile:
        if self._last is None or self._last[0] != index:
            self._last = index, EventFile(*self.files[index], self.reading)
        return self._last[1]

    def _checked(self, index: int) -> Seen:
        """What recording ``index`` shows; its events are kept while there is room."""
        path, key = self.files[index][0], (self.files[index][0], self.reading, self.camera)
        before = signature(path)
        if self._room <= 0 and (known := _SEEN.get(key)) and known[0] == before:
            return known[1]
        file, kept, number = self._file(index), [np.empty(0, EVENT)], 0
        for part in file.parts():
            self.camera.refuse_other(file.sensor, str(path))
            events = self.camera.fitted(part, str(path))
            number += len(events)
            kept = [*kept, events] if number <= self._room else []
        if kept:
            self._held[index] = np.concatenate(kept)
            self._held[index].setflags(write=False)
            self._room -= number
        if settled(before):
            _SEEN[key] = before, file.seen
        return file.seen


_SEEN: Final[dict[tuple[Path, Reading, Camera], tuple[Signature, Seen]]] = {}
"""What the files that this process read show, as long as they do not change."""
