"""AEDAT 2.0, 3.1 and 4.0: files made from their specifications, and what a damaged one claims."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from helpers import event_files
from helpers.aedat4 import INFO, aedat4, table_of
from helpers.event_files import ROW_LISTS, ROWS, Row, rows_of
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import InputError, UsageError
from deploytool.data.formats import aedat2, aedat3
from deploytool.data.formats.parts import joined
from deploytool.data.formats.reading import AS_IT_IS, Reading
from deploytool.data.formats.table import FORMATS, format_of, read_raw
from deploytool.data.recordings.chosen import read_events

SMALL = ROW_LISTS.map(lambda rows: [(t, x % 128, y % 128, p) for t, x, y, p in rows])
DVS128 = "# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128"


@given(SMALL, st.sampled_from([DVS128, "# AEChip: DAVI346", "# AEChip: eu.seebetter.ini.chips.davis.Davis346BMono"]))
def test_aedat2_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[Row], chip: str) -> None:
    path = tmp_path_factory.mktemp("aedat2") / "a.aedat"
    path.write_bytes(event_files.aedat2(rows, chip))
    assert format_of(path) is FORMATS["aedat2"]
    raw = joined(aedat2.parts(path, AS_IT_IS))
    assert rows_of(raw) == rows
    assert raw.sensor == (((128, 128) if chip == DVS128 else (260, 346)) if rows else None)


def test_an_aedat2_clock_runs_over_after_32_bits(tmp_path: Path) -> None:
    rows = [(2**32 + t, 3, 4, 1) for t in range(-20, 20, 5)]
    (tmp_path / "a.aedat").write_bytes(event_files.aedat2(rows))
    assert rows_of(joined(aedat2.parts(tmp_path / "a.aedat", AS_IT_IS))) == rows


def test_what_is_no_event_of_a_pixel_is_left_out_of_aedat2(tmp_path: Path) -> None:
    for chip, marks in ((DVS128, [1 << 15]), ("# AEChip: DAVIS240C", [1 << 31, 1 << 10])):
        content = event_files.aedat2([], chip) + b"".join(struct.pack(">II", mark, 5) for mark in [*marks, 0])
        (tmp_path / "a.aedat").write_bytes(content)
        (row,) = rows_of(joined(aedat2.parts(tmp_path / "a.aedat", AS_IT_IS)))
        assert row == ((5, 127, 127, 1) if chip == DVS128 else (5, 239, 179, 0))


def test_the_camera_of_aedat2_is_stated_once(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    path.write_bytes(event_files.aedat2(ROWS, "# created today"))
    with pytest.raises(InputError, match=r"AEDAT 2.0 without the name of a camera; need one of dvs128, .*--camera\."):
        read_raw(path, FORMATS["aedat2"])
    assert rows_of(read_raw(path, FORMATS["aedat2"], Reading(camera="davis346"))) == ROWS
    path.write_bytes(event_files.aedat2(ROWS, "# AEChip: ch.unizh.ini.jaer.chip.cochlea.CochleaAMS1c"))
    with pytest.raises(InputError, match=r"AEDAT 2.0 of the camera CochleaAMS1c; need one of dvs128"):
        read_raw(path, FORMATS["aedat2"])
    path.write_bytes(event_files.aedat2(ROWS))
    with pytest.raises(UsageError, match=r"found dvs128, but the header of .* says DAVIS346blue; need davis346, or no"):
        read_raw(path, FORMATS["aedat2"], Reading(camera="dvs128"))
    with pytest.raises(UsageError, match="--camera: found 'dvs'; need one of dvs128, davis240"):
        Reading(camera="dvs")


def test_events_of_aedat2_may_begin_like_a_line_of_the_header(tmp_path: Path) -> None:
    rows = [(5, 1, 259 - 140, 1)]  # its address begins with a #
    content = event_files.aedat2(rows)
    assert content[-8:-7] == b"#"
    (tmp_path / "a.aedat").write_bytes(content)
    assert rows_of(joined(aedat2.parts(tmp_path / "a.aedat", AS_IT_IS))) == rows


@given(st.lists(ROW_LISTS.filter(bool), max_size=4), st.integers(0, 3))
def test_aedat3_round_trip(tmp_path_factory: pytest.TempPathFactory, packets: list[list[Row]], overs: int) -> None:
    moved = [[(t + overs * 2**31, x, y, p) for t, x, y, p in rows] for rows in packets]
    path = tmp_path_factory.mktemp("aedat3") / "a.aedat"
    path.write_bytes(event_files.aedat3(moved))
    assert rows_of(joined(aedat3.parts(path, AS_IT_IS))) == [row for rows in moved for row in rows]


def test_invalid_events_of_a_packet_are_left_out(tmp_path: Path) -> None:
    content = bytearray(event_files.aedat3([ROWS]))
    content[-8 * len(ROWS)] ^= 1
    (tmp_path / "a.aedat").write_bytes(content)
    assert rows_of(joined(aedat3.parts(tmp_path / "a.aedat", AS_IT_IS))) == ROWS[1:]


@pytest.mark.parametrize(
    "damage", [(b"</attr>", b"</\xe1ttr>"), (b"</dv>", b"</d1>"), (b"<dv version", b"<!DOCTYPE x")]
)
def test_a_damaged_header_of_aedat4_never_reaches_its_library(tmp_path: Path, damage: tuple[bytes, bytes]) -> None:
    pytest.importorskip("aedat")
    content = aedat4(ROWS)
    assert damage[0] in content
    (tmp_path / "a.aedat4").write_bytes(content.replace(damage[0], damage[1], 1))
    with pytest.raises(
        InputError, match=r"cannot be read .its header is damaged.; need an AEDAT4 file with one stream"
    ):
        read_events(tmp_path / "a.aedat4", (2, 34, 34))


@pytest.mark.parametrize("size", [len(aedat4(ROWS)) - 18 + 1, 2**24, 2**32 - 1])
def test_a_header_of_aedat4_that_is_larger_than_its_file_never_reaches_its_library(tmp_path: Path, size: int) -> None:
    """It ends Python where there is no room for as many bytes as the header states."""
    pytest.importorskip("aedat")
    content = aedat4(ROWS)
    (tmp_path / "a.aedat4").write_bytes(content[:14] + struct.pack("<I", size) + content[18:])
    with pytest.raises(InputError, match=r"cannot be read .its header is damaged"):
        read_events(tmp_path / "a.aedat4", (2, 34, 34))


def packed_aedat4(code: int, packet: bytes, size: int | None = None, info: str = INFO, behind: int = -1) -> bytes:
    """An AEDAT4 file of one packet, packed in the way that ``code`` is the number of; ``behind`` is its table."""
    text = info.encode()
    numbers = {0: struct.pack("<i", code), 1: struct.pack("<q", behind)}
    header = table_of(b"IOHE", numbers, 2, struct.pack("<I", len(text)) + text + b"\0")
    return b"#!AER-DAT4.0\r\n" + header + struct.pack("<ii", 0, len(packet) if size is None else size) + packet


ZSTD_BLOCK = (1 << 17 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
LZ4_HEAD = b"\x04\x22\x4d\x18\x60\x70\x73"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (packed_aedat4(0, b"", info="<a>" * 50_000 + "</a>" * 50_000), "cannot be read (its header is damaged)"),
        (packed_aedat4(0, b"1234", 2**31 - 1), "cannot be read (a packet of 2147483647 bytes is cut short)"),
        (packed_aedat4(0, b"1234", -1), "cannot be read (a packet of -1 bytes is cut short)"),
        (packed_aedat4(7, b""), "cannot be read (unknown compression 7)"),
        (
            packed_aedat4(0, b"1234", behind=177),
            "cannot be read (the table behind its packets is said to be in its header)",
        ),
        (packed_aedat4(1, b"\x04\x22\x4d"), "cannot be read (cut short)"),
        (packed_aedat4(1, LZ4_HEAD + b"\1\0\0\0\0" * 65 + bytes(4)), "cannot be read (a packet of 336 bytes may be of"),
        (packed_aedat4(3, b"\x28\xb5\x2f\xfd\0\x58" + ZSTD_BLOCK * 2100), "cannot be read (cut short)"),
        (
            packed_aedat4(4, b"\x28\xb5\x2f\xfd\0\x58" + ZSTD_BLOCK * 2100 + b"\1\0\0"),
            "cannot be read (a packet of 8409 bytes may be of more than 268,435,456 bytes when it is unpacked)",
        ),
    ],
)
def test_aedat4_that_claims_more_than_there_is_is_refused_before_it_is_read(
    tmp_path: Path, content: bytes, says: str
) -> None:
    pytest.importorskip("aedat")
    (tmp_path / "a.aedat4").write_bytes(content)
    with pytest.raises(InputError, match=re.escape(says)):
        read_raw(tmp_path / "a.aedat4", FORMATS["aedat4"])
