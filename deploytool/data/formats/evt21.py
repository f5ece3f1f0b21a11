"""Prophesee EVT 2.1: 64-bit words; 32 bits as in EVT 2.0, and 32 bits for as many pixels from x on.

A bit of these, lowest first, is set for each pixel of the row that sent the event. "endianness=legacy" in the header
says that the word as in EVT 2.0 comes first, "endianness=little" that it comes second.
Specification: docs.prophesee.ai, "EVT 2.1 Format".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np

from deploytool.base.errors import InputError
from deploytool.data.formats.evt2 import stated_times
from deploytool.data.formats.parts import START, Part, Parts, Place, words_in
from deploytool.data.formats.prophesee import header_in, refuse_without_events
from deploytool.data.formats.reading import RawEvents, Reading

WORD: Final = {
    "legacy": np.dtype([("event", "<u4"), ("pixels", "<u4")]),
    "little": np.dtype([("pixels", "<u4"), ("event", "<u4")]),
}
_ORDER: Final = re.compile(r"endianness[= ](\w+)")


def parts(path: Path, _: Reading, place: Place = START) -> Parts:
    """The events in the file ``path``. Raises InputError if it is cut short, or does not state its order of bytes."""
    header = header_in(path)
    order = _ORDER.search(header.text)
    if not order or order[1] not in WORD:
        says = f"EVT 2.1 with endianness {order[1]}" if order else "EVT 2.1 without an endianness"
        raise InputError(str(path), says, f"one of {', '.join(WORD)} in its header")
    high, events, end = place.knows[0] if place.knows else -1, 0, place.at
    for at, words in words_in(path, header.end, WORD[order[1]], place.at):
        chosen, t, after = stated_times(words["event"], high)
        word, bits = words["event"][chosen], np.ascontiguousarray(words["pixels"][chosen])
        pixels = np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder="little"))
        t, word, x = t[pixels >> 5], word[pixels >> 5], pixels & 31
        found = RawEvents(t, (word >> 11 & 0x7FF) + x, word & 0x7FF, word >> 28, sensor=header.sensor)
        yield Part(found, Place(at, (high,)))
        high, events, end = after, events + len(found), at + len(words)
    if place == START:
        refuse_without_events(path, header, end, events)
