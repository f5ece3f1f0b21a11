"""Folders of own recordings: tables of labels and of parts, names, links, windows; and utterances in WAV files."""

from __future__ import annotations

import json
import os
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

from helpers.own_recordings import recording, write

from deploytool.base.errors import DeployError
from deploytool.data.recordings.chosen import Asked, read_events
from deploytool.data.sets.sources import DATASETS
from deploytool.data.sets.summary import summary
from deploytool.ir.events import EventStream
from deploytool.recipe import DataSection
from tests.fuzz import forged
from tests.fuzz.family import Family

SPEC: Final = "section.json"


def _number(random: Random) -> str:
    return (
        random.choice((*forged.TEXTS, *forged.REALS, str(forged.number(random))))
        if random.random() < 0.2
        else str(random.randrange(60))
    )


def _cell(text: str) -> str:
    return text if _bare(text) else '"' + text.replace('"', '""') + '"'


def _bare(text: str) -> bool:
    """Whether ``text`` needs no quotes in a table."""
    return not any(mark in text for mark in ',"\n')


_HEADERS: Final = (
    *("file,label", "file,start_ms,end_ms,label", "file,start_ms,end_ms,speed,angle", "file,speed"),
    *("File,Label", "file", "label,file", "file,start_ms,label", "file,speed,speed", "file,label,speed"),
    *("file,,", "", "x" * 200_000, "file,start_ms,end_ms,\x1b[31m"),
)


def _labels(random: Random, names: list[str]) -> str:
    usual = ("file,label", "file,start_ms,end_ms,label", "file,start_ms,end_ms,speed")
    header = random.choice(_HEADERS if random.random() < 0.3 else usual)
    rows = [header]
    for name in names * random.choice((1, 1, 2)):
        cells = []
        for column in header.split(","):
            match column.lower():
                case "file":
                    cells.append(
                        name
                        if random.random() < 0.97
                        else random.choice((*forged.TEXTS, "../" + name, "./" + name, name.replace("/", "\\")))
                    )
                case "label":
                    cells.append(
                        random.choice(("up", "down", "left")) if random.random() < 0.95 else random.choice(forged.TEXTS)
                    )
                case "start_ms":
                    cells.append("0" if random.random() < 0.7 else _number(random))
                case "end_ms":
                    cells.append(random.choice(("10", "20", "1e3")) if random.random() < 0.8 else _number(random))
                case _:
                    cells.append(_number(random) if random.random() < 0.3 else "1.5")
        rows.append(",".join(map(_cell, cells)))
    return "\n".join(rows)


def _splits(random: Random, names: list[str]) -> str:
    rows = [random.choice(("file,part",) * 8 + ("file", "part,file", "", "file,part,more"))]
    for index, name in enumerate(names):
        part = ("train", "test", "validation")[index % 3] if random.random() < 0.95 else random.choice(forged.TEXTS)
        rows.append(",".join(map(_cell, (name if random.random() < 0.97 else random.choice(forged.TEXTS), part))))
    return "\n".join(rows)


def _as_bytes(random: Random, text: str) -> bytes:
    content = text.encode(random.choice(("utf-8",) * 8 + ("utf-8-sig", "utf-16", "latin-1")), "replace")
    return forged.damaged(random, content) if random.random() < 0.2 else content


def _recordings(random: Random, folder: Path) -> Path:
    root = folder / "root"
    layout = random.choice(("{part}/{name}/r{n}", "{name}/r{n}", "r{n}-{name}", "{part}/r{n}-{name}"))
    for number in range(6):
        path = root / layout.format(part=("train", "test")[number % 2], name=("up", "down")[number // 2 % 2], n=number)
        file = write(path, recording(number, number % 3, count=25), random.randrange(7))
        if random.random() < 0.05:
            file.write_bytes(forged.damaged(random, file.read_bytes()))
    names = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.*"))]
    if random.random() < 0.7:
        (root / random.choice(("labels.csv",) * 9 + ("Labels.csv",))).write_bytes(
            _as_bytes(random, _labels(random, names))
        )
    if random.random() < 0.4:
        (root / "splits.csv").write_bytes(_as_bytes(random, _splits(random, names)))
    if random.random() < 0.1:
        _odd(random, root)
    keys: dict[str, object] = {"set": "events", "sensor": [12, 12]}
    if random.random() < 0.5:
        keys |= {"window_ms": random.choice((0.001, 1, 10, 1e6)), "stride_ms": random.choice((None, 0.001, 5))}
    if random.random() < 0.3:
        keys |= random.choice(
            (
                {"split": "names"},
                {"split": "folders"},
                {"split": "labels.csv"},
                {"split": "nothing"},
                {"test_share": 0.5},
                {"split": "../section.json"},
            )
        )
    if random.random() < 0.2:
        del keys["sensor"]
    (folder / SPEC).write_text(json.dumps(keys), encoding="utf-8")
    return root


def _odd(random: Random, root: Path) -> None:
    place = root / random.choice(
        (
            "train",
            "up",
            "labels.csv",
            "splits.csv",
            "loop",
            "\x1b[31m.bin",
            "a\nb.bin",
            "\udcff.bin",
            "x.npy",
            "x" * 200 + ".npy",
        )
    )
    if place.exists():
        return
    match random.randrange(5):
        case 0:
            os.mkfifo(place)
        case 1:
            place.mkdir()
        case 2:
            place.symlink_to(random.choice((".", "/nowhere", place.name, "/etc/passwd")))
        case 3:
            place.write_bytes(
                random.choice((b"", b"x", bytes(5), b"\x93NUMPY", b"\x80\x04pickle", b"% evt 9.0\n", b"PK\3\4"))
            )
        case 4:
            (place / "deep").mkdir(parents=True)
            (place / "deep" / "a.bin").write_bytes(bytes(5))


def _read_recordings(root: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        spec = DataSection.model_validate(json.loads((root.parent / SPEC).read_text("utf-8")) | {"root": str(root)})
        refusals = []
        for read in (lambda: _opened(spec), lambda: summary(spec), lambda: _run(root, spec)):
            try:
                read()
            except DeployError as refusal:
                refusals.append(refusal)
    if refusals:
        raise max(refusals, key=lambda refusal: len(str(refusal)))


def _opened(spec: DataSection) -> None:
    opened = DATASETS["events"].open(spec)
    assert opened.fingerprint
    for samples in opened.parts(("train", "validation", "test")).values():
        _some(samples)


def _run(root: Path, spec: DataSection) -> None:
    _some(read_events(root, (2, 12, 12), Asked(spec=spec.model_copy(update={"split": None}))))


def _some(samples: Sequence[EventStream]) -> None:
    """Makes the first of ``samples``; short windows are millions."""
    for index in range(min(len(samples), 30)):
        len(samples[index])


def _chunk(random: Random, name: bytes, body: bytes) -> bytes:
    length = len(body) if random.random() < 0.9 else forged.number(random) % 2**32
    return name + struct.pack("<I", length) + body + b"\0" * (len(body) % 2)


def wav(random: Random) -> bytes:
    """A .wav file whose chunks claim anything."""
    hostile = random.random() < 0.3
    bits = random.choice((8, 16, 16, 24, 32, 64, 0, 12, 255)) if hostile else 16
    coding = random.choice((1, 1, 1, 3, 0xFFFE, 2, 6, 0, 17)) if hostile else 1
    channels = random.choice((1, 1, 1, 1, 2, 0, 65535)) if hostile else 1
    rate = random.choice((8000, 16_000, 44_100, 7999, 0, 1, 2**31 - 1, 2**32 - 1, 8001, 767_999)) if hostile else 8000
    block = channels * bits // 8 if random.random() < 0.8 else forged.number(random)
    fields = (
        forged.words([coding, channels], "H")
        + forged.words([rate, rate * block], "I")
        + forged.words([block, bits], "H")
    )
    if coding == 0xFFFE or random.random() < 0.1:
        guid = struct.pack("<H", random.choice((1, 3, 9))) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
        fields += forged.words([22, bits], "H") + struct.pack("<I", 4) + guid
    count = random.choice((0, 1, 2, 400, 3000))
    data = (
        random.randbytes(count * max(1, bits // 8))
        if random.random() < 0.8
        else random.choice((b"\0", b"\xff", b"\x7f")) * count * 8
    )
    if coding == 3 and bits in (32, 64):
        reals = [
            random.choice((0.5, -0.5, 1e300 if bits == 64 else 1e38, float("inf"), float("nan"), 5e-324, 1.0))
            for _ in range(count)
        ]
        data = struct.pack(f"<{count}{'f' if bits == 32 else 'd'}", *reals)
    chunks = [_chunk(random, b"fmt ", fields), _chunk(random, b"data", data)]
    if random.random() < 0.3:
        chunks.insert(
            random.randrange(3),
            _chunk(
                random,
                random.choice((b"LIST", b"fact", b"fmt ", b"data", b"JUNK", b"\0\0\0\0")),
                random.randbytes(random.randrange(30)),
            ),
        )
    if random.random() < 0.05:
        random.shuffle(chunks)
    body = b"WAVE" + b"".join(chunks)
    head = random.choice((b"RIFF",) * 12 + (b"RIFX", b"RF64", b"FORM"))
    content = head + struct.pack("<I", len(body) if random.random() < 0.9 else forged.number(random) % 2**32) + body
    return forged.damaged(random, content) if random.random() < 0.2 else content


def _utterances(random: Random, root: Path) -> Path:
    for speaker in ("a", "b", "c", "d"):
        (root / speaker).mkdir()
        for number in range(2):
            (root / speaker / f"{number}.wav").write_bytes(wav(random))
    if random.random() < 0.05:
        place = root / "a" / random.choice(("x.wav", "x y.wav", "\udcff.wav", "\x1b[31m.wav"))
        random.choice(
            (
                lambda: os.mkfifo(place),
                place.mkdir,
                lambda: place.symlink_to("/nowhere"),
                lambda: place.write_bytes(b""),
            )
        )()
    return root


def _read_utterances(root: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        opened = DATASETS["speech"].open(
            DataSection.model_validate({"set": "speech", "root": str(root), "duration_ms": 50})
        )
        assert opened.fingerprint
        refusals, taken = [], 0
        for samples in opened.parts(("train", "validation", "test")).values():
            for index in range(min(len(samples), 10)):
                try:
                    assert samples[index].sources.shape[1] == 400
                    taken += 1
                except DeployError as refusal:
                    refusals.append(refusal)
        if refusals and not taken:
            raise refusals[0]


FAMILIES: Final = (
    Family("own-recordings", _recordings, _read_recordings),
    Family("utterances", _utterances, _read_utterances),
)
