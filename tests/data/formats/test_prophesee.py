"""EVT 2.0, EVT 3.0 and DAT: against a decoder that goes word by word, on random words, and against expelliarmus."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from helpers import event_files
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import InputError
from deploytool.data.formats import dat, evt2, evt3, evt21
from deploytool.data.formats.parts import joined
from deploytool.data.formats.prophesee import header_in, unwound
from deploytool.data.formats.reading import AS_IT_IS, RawEvents

WORDS_2 = st.one_of(
    st.builds(lambda p, t, x, y: p << 28 | t << 22 | x << 11 | y, *map(st.integers, (0,) * 4, (1, 63, 2047, 2047))),
    st.builds(lambda high: 8 << 28 | high, st.sampled_from([0, 1, 2, 2**27, 2**28 - 2, 2**28 - 1])),
    st.builds(lambda other: 0xA << 28 | other, st.integers(0, 2**28 - 1)),
)
WORDS_3 = st.builds(
    lambda kind, payload: kind << 12 | payload,
    st.sampled_from([0, 2, 2, 2, 3, 4, 4, 5, 6, 7, 8, 10, 14]),
    st.one_of(st.integers(0, 4095), st.sampled_from([0, 1, 5, 2047, 4094, 4095])),
)


def decoded_2(words: list[int]) -> list[tuple[int, int, int, int]]:
    """(t, x, y, p) of each event, word by word."""
    rows, high, raw = [], None, None
    for word in words:
        kind = word >> 28
        if kind == 8:
            now = word & 0xFFFFFFF
            high = now if high is None else high + now - raw + (2**28 if now - raw < -(2**27) else 0)
            raw = now
        elif kind < 2 and high is not None:
            rows.append((high * 64 + (word >> 22 & 63), word >> 11 & 2047, word & 2047, kind))
    return rows


def decoded_3(words: list[int]) -> list[tuple[int, int, int, int]]:
    """(t, x, y, p) of each event, word by word."""
    rows, raw, high, low, row, base, polarity = [], None, None, 0, None, None, 0
    for word in words:
        kind, payload = word >> 12, word & 4095
        if kind == 8:
            if payload != raw:
                low = 0
            high = payload if high is None else high + payload - raw + (4096 if payload - raw < -2048 else 0)
            raw = payload
        elif kind == 6:
            low = payload
        elif kind == 0:
            row = payload & 2047
        elif kind == 3:
            base, polarity = payload & 2047, payload >> 11
        elif kind == 2 and None not in (high, row):
            rows.append((high * 4096 + low, payload & 2047, row, payload >> 11))
        elif kind in (4, 5) and base is not None:
            length = 12 if kind == 4 else 8
            if None not in (high, row):
                set_bits = [bit for bit in range(length) if payload >> bit & 1]
                rows += [(high * 4096 + low, base + bit, row, polarity) for bit in set_bits]
            base += length
    return rows


def read(module: ModuleType, path: Path) -> RawEvents:
    return joined(module.parts(path, AS_IT_IS))


def in_chunks(words: np.ndarray, chunk: int, decode: Callable[..., tuple[RawEvents, object]]) -> list[RawEvents]:
    """The events of ``words``, decoded ``chunk`` at a time."""
    found, state = [], []
    for start in range(0, len(words), chunk):
        events, after = decode(words[start : start + chunk], *state)
        found, state = [*found, events], [after]
    return found


def rows_of(parts: list[RawEvents]) -> list[tuple[int, ...]]:
    return [row for part in parts for row in zip(*(getattr(part, c).tolist() for c in "txyp"), strict=True)]


@given(st.lists(WORDS_2, max_size=60), st.integers(1, 20))
def test_evt2_is_what_goes_word_by_word(words: list[int], chunk: int) -> None:
    assert rows_of(in_chunks(np.array(words, np.uint32), chunk, evt2.decode)) == decoded_2(words)


@given(st.lists(WORDS_3, max_size=80), st.integers(1, 25))
def test_evt3_is_what_goes_word_by_word(words: list[int], chunk: int) -> None:
    assert rows_of(in_chunks(np.array(words, np.uint16), chunk, evt3.decode)) == decoded_3(words)


CLOCKS = [("evt2", evt2, 2**34), ("evt21", evt21, 2**34), ("evt3", evt3, 2**24), ("dat", dat, 2**32)]
WITHOUT_A_WORD = [(evt2, b"% evt 2.0\n"), (evt3, b"% evt 3.0\n"), (dat, event_files.dat([]))]


@pytest.mark.parametrize(("name", "module", "wraps"), CLOCKS)
def test_a_clock_that_runs_over_goes_on(tmp_path: Path, name: str, module: ModuleType, wraps: int) -> None:
    rows = [(wraps + t, t % 300, t % 200, t % 2) for t in range(-2000, 2000, 40)]
    rows += [(t + wraps - 1_000_000, x, y, p) for t, x, y, p in rows]
    (tmp_path / "file").write_bytes(getattr(event_files, name)(rows))
    raw = read(module, tmp_path / "file")
    assert list(zip(*(getattr(raw, c).tolist() for c in "txyp"), strict=True)) == rows


@pytest.mark.parametrize("order", ["legacy", "little"])
def test_a_word_of_evt21_is_an_event_for_each_of_its_pixels(tmp_path: Path, order: str) -> None:
    words = [(8 << 28 | 3, 0), (1 << 28 | 5 << 22 | 64 << 11 | 7, 1 << 0 | 1 << 3 | 1 << 31), (6 << 22 | 8, 1 << 1)]
    content = b"".join(struct.pack("<II", *(pair if order == "legacy" else pair[::-1])) for pair in words)
    (tmp_path / "a.raw").write_bytes(f"% format EVT21;endianness={order};height=9;width=99\n".encode() + content)
    raw = read(evt21, tmp_path / "a.raw")
    assert rows_of([raw]) == [(197, 64, 7, 1), (197, 67, 7, 1), (197, 95, 7, 1), (198, 1, 8, 0)]
    assert raw.sensor == (9, 99)


def test_unwinding_needs_the_last_of_what_came_before() -> None:
    assert unwound(np.array([10, 3, 2, 15, 1]), 4, -1).tolist() == [10, 3, 2, 15, 17]
    assert unwound(np.array([1, 2]), 4, 17 + 14).tolist() == [33, 34]
    assert unwound(np.empty(0, np.int64), 4, 3).tolist() == []


@pytest.mark.parametrize(
    ("text", "encoding", "sensor"),
    [
        ("% evt 3.0\n% geometry 1280x720\n% end\n", "3.0", (720, 1280)),
        ("% format EVT2;height=480;width=640\n% end\n", "2.0", (480, 640)),
        ("% format EVT21;endianness=little;height=320;width=320\n", "2.1", (320, 320)),
        ("% Data file containing CD events\n% Width 640\n% Height 480\n", "", (480, 640)),
        ("% Height 4\n% Version 2\n% Width 6\n", "", (4, 6)),
        ("", "", None),
    ],
)
def test_a_header_tells_encoding_and_sensor(
    tmp_path: Path, text: str, encoding: str, sensor: tuple[int, int] | None
) -> None:
    (tmp_path / "a.raw").write_bytes(text.encode() + b"\x01\x02")
    header = header_in(tmp_path / "a.raw")
    assert (header.end, header.encoding, header.sensor) == (len(text), encoding, sensor)


@pytest.mark.parametrize(
    ("lines", "size"),
    [
        ("% geometry 0x480", "480x0"),
        ("% geometry 65537x1", "1x65537"),
        (f"% geometry {'9' * 5000}x{'8' * 5000}", f"{'8' * 20}x{'9' * 20}"),
        (f"% Width {'9' * 5000}\n% Height 3", f"3x{'9' * 20}"),
    ],
)
def test_a_camera_of_an_impossible_size_is_refused(tmp_path: Path, lines: str, size: str) -> None:
    (tmp_path / "a.raw").write_text(f"% evt 3.0\n{lines}\n% end\n", encoding="ascii")
    with pytest.raises(InputError, match=f": a camera of {size} pixels; need 1 to 65536 rows and columns. Its header"):
        header_in(tmp_path / "a.raw")


def test_a_header_of_very_many_lines_is_read_at_once(tmp_path: Path) -> None:
    begun = time.process_time()
    (tmp_path / "a.dat").write_bytes(b"% width 3\n% heigth 3\n" * 3200 + b"% end\n\x0c\x08")
    assert header_in(tmp_path / "a.dat").sensor is None
    assert time.process_time() - begun < 1


def test_old_dat_files_have_other_bits(tmp_path: Path) -> None:
    head, event = b"% Data file containing TD events.\n% Version 1\n", struct.pack("<II", 7, 1 << 17 | 200 << 9 | 300)
    (tmp_path / "old.dat").write_bytes(head + bytes([0, 8]) + event)
    raw = read(dat, tmp_path / "old.dat")
    assert [int(getattr(raw, c)[0]) for c in "txyp"] == [7, 300, 200, 1]


@pytest.mark.parametrize(
    ("module", "content", "says"),
    [
        (evt2, event_files.evt2([(70, 1, 2, 1)])[:-1], "bytes after its header; need a multiple of 4"),
        (evt3, event_files.evt3([(70, 1, 2, 1)])[:-1], "bytes after its header; need a multiple of 2"),
        (dat, event_files.dat([(70, 1, 2, 1)])[:-3], "bytes after its header; need a multiple of 8"),
        (evt21, event_files.evt21([(70, 1, 2, 1)])[:-1], "bytes after its header; need a multiple of 8"),
        (evt21, b"% evt 2.1\n" + bytes(64), "EVT 2.1 without an endianness; need one of legacy, little"),
        (evt21, event_files.evt21([], "big"), "EVT 2.1 with endianness big; need one of legacy, little"),
        (dat, event_files.dat([])[:-1], "nothing after its header"),
        (dat, b"% Version 2\n" + bytes([14, 8]) + bytes(8), "events of type 14 and 8 bytes; need events of pixels"),
        (
            evt2,
            b"% evt 2.0\n" + bytes(64),
            "no events in its 16 words: none comes after .*; need a recording in EVT 2.0",
        ),
        (
            evt3,
            b"% evt 3.0\n" + bytes(64),
            "no events in its 32 words: none comes after .*; need a recording in EVT 3.0",
        ),
    ],
)
def test_damaged_files_are_one_sentence(tmp_path: Path, module: ModuleType, content: bytes, says: str) -> None:
    (tmp_path / "file.raw").write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        read(module, tmp_path / "file.raw")
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(("module", "head"), WITHOUT_A_WORD)
def test_a_file_without_a_word_holds_no_events(tmp_path: Path, module: ModuleType, head: bytes) -> None:
    (tmp_path / "file.raw").write_bytes(head)
    assert len(read(module, tmp_path / "file.raw")) == 0


def test_real_files_hold_what_expelliarmus_finds(shared_data: Path) -> None:
    expelliarmus = pytest.importorskip("expelliarmus")
    files = (("evt2_sample_head.raw", evt2, 99_435), ("dat_sample.dat", dat, 4407), ("ncars_sample.dat", dat, 2009))
    for name, module, number in files:
        path = shared_data / "event_formats" / name
        theirs = expelliarmus.Wizard(encoding=module.__name__.rsplit(".", 1)[-1]).read(str(path))
        ours = read(module, path)
        assert len(ours) == number
        for column in "txyp":
            assert np.array_equal(getattr(ours, column), theirs[column]), (name, column)


def test_the_real_evt3_file_lasts_as_long_as_its_camera_says(shared_data: Path) -> None:
    """expelliarmus adds 4,096 us wherever the low part falls, which it does after each of some words that repeat the
    camera's time; a camera repeats it every 16 us, and the file has 551 of these words: 8.8 ms, not 53.9 ms."""
    expelliarmus = pytest.importorskip("expelliarmus")
    path = shared_data / "event_formats" / "evt3_sample.raw"
    ours, theirs = read(evt3, path), expelliarmus.Wizard(encoding="evt3").read(str(path))
    assert len(ours) == 219_596
    for column in "xyp":
        assert np.array_equal(getattr(ours, column), theirs[column])
    assert (np.diff(ours.t) >= 0).all()
    assert (int(ours.t[0]), int(ours.t[-1])) == (11_718_656, 11_727_457)
    assert set(np.unique(theirs["t"] - ours.t) % 4096) == {0}
    repeated = int((np.fromfile(path, "<u2", offset=header_in(path).end) >> 12 == 8).sum())
    assert abs(16 * repeated - (ours.t[-1] - ours.t[0])) < 100
