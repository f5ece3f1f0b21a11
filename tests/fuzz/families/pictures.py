"""Data sets as their makers pack them: pictures in files of several kinds, recordings in archives and folders."""

from __future__ import annotations

import gzip
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
from helpers.aedat4 import aedat4
from helpers.data_sets import idx
from PIL import Image as Pictures

from deploytool.data.images import Fit, Image
from deploytool.data.sets import cifar, mnist
from deploytool.data.sets.sources import DATASETS
from deploytool.recipe import DataSection
from tests.fuzz import forged, hostile_columns
from tests.fuzz.family import Family

LOOKED_AT: Final = 12
"""Samples of each part that are made."""


def read_set(name: str) -> Callable[[Path], None]:
    """What opens the set ``name`` in a folder, and makes some samples of each of its parts."""

    def read(root: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            opened = DATASETS[name].open(DataSection.model_validate({"set": name, "root": str(root)}))
            assert opened.fingerprint
            len(opened.names)
            for samples in opened.parts(("train", "test")).values():
                for index in range(min(len(samples), LOOKED_AT)):
                    sample = samples[index]
                    if isinstance(sample, Image):
                        Fit(8, 8)(sample)

    return read


def _idx(random: Random, root: Path) -> Path:
    rng = np.random.default_rng(random.getrandbits(32))
    victim = random.choice([file for files in mnist.FILES.values() for file in files])
    for images, labels in mnist.FILES.values():
        for name, array in ((images, rng.integers(0, 256, (5, 28, 28))), (labels, np.arange(5))):
            content, packed = idx(array.astype(np.uint8)), random.random() < 0.5
            if name == victim:
                content = _hostile_idx(random, content)
            content = _hostile_gzip(random, content, name == victim) if packed else content
            if name == victim and random.random() < 0.2:
                content = forged.damaged(random, content)
            (root / (name + ".gz" * packed)).write_bytes(content)
    return root


def _hostile_idx(random: Random, content: bytes) -> bytes:
    match random.randrange(5):
        case 0:
            axes = random.choice((0, 1, 2, 3, 8, 9, 33, 64, 65, 255))
            lengths = [random.choice((0, 1, 1, 2, forged.number(random))) for _ in range(axes)]
            sizes = b"".join((length % 2**32).to_bytes(4, "big") for length in lengths)
            return (
                bytes([0, 0, random.choice((8, 8, 8, 9, 13)), axes]) + sizes + content[16 : random.choice((16, 17, 40))]
            )
        case 1:
            return forged.struck(random, content)
        case 2:
            return idx(np.full((5,), random.choice((3, 9, 10, 255)), np.uint8))
        case 3:
            return idx(
                np.zeros(random.choice(((5, 28, 27), (0, 28, 28), (5, 28, 28, 1), (4, 28, 28), (0,), ())), np.uint8)
            )
    return content[: random.randrange(20)]


def _hostile_gzip(random: Random, content: bytes, hostile: bool) -> bytes:
    packed = gzip.compress(content, mtime=0)
    if not hostile:
        return packed
    match random.randrange(6):
        case 0:
            bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
            million = bytes(1 << 20)
            return b"".join(bomb.compress(million) for _ in range(random.choice((1, 2, 200)))) + bomb.flush()
        case 1:
            return packed * random.choice((2, 50))
        case 2:
            return forged.struck(random, packed)
        case 3:
            return packed[:-8] + forged.packed(random, 4) + forged.packed(random, 4)
        case 4:
            return packed + random.choice(forged.BYTES)
    return packed


def _cifar(layout: cifar.Layout) -> Callable[[Random, Path], Path]:
    def mutated(random: Random, root: Path) -> Path:
        folder = root / random.choice((layout.folder, layout.folder, ""))
        folder.mkdir(exist_ok=True)
        files = layout.train + layout.test
        victim = random.choice(files)
        for file in files:
            rows = (
                np.random.default_rng(random.getrandbits(32))
                .integers(0, 10, (3, layout.labels + 3072))
                .astype(np.uint8)
            )
            content = rows.tobytes()
            if file == victim:
                content = random.choice(
                    (forged.struck(random, content, 40), forged.damaged(random, content), b"", content[:-1])
                )
            (folder / file).write_bytes(content)
        if random.random() < 0.1:
            (folder / victim).unlink()
            _odd_entry(random, folder / victim)
        return root

    return mutated


def _odd_entry(random: Random, path: Path) -> None:
    """Something at ``path`` that is no regular file."""
    match random.randrange(5):
        case 0:
            os.mkfifo(path)
        case 1:
            path.mkdir()
        case 2:
            path.symlink_to(path)
        case 3:
            path.symlink_to("/nowhere/at all")
        case 4:
            path.symlink_to("..")


def _png(random: Random) -> bytes:
    """A .png file whose chunks claim anything, with right checksums."""
    width, height = (random.choice((3, 3, 3, 0, 1, 10_000, 40_000, forged.number(random) % 2**32)) for _ in range(2))
    depth, colours = random.choice((8, 8, 8, 1, 16, 3)), random.choice((0, 2, 2, 3, 4, 6, 9))
    chunks = [
        (
            b"IHDR",
            struct.pack(
                ">IIBBBBB", width, height, depth, colours, random.choice((0, 0, 0, 9)), 0, random.choice((0, 0, 1))
            ),
        )
    ]
    if random.random() < 0.6:
        kind = random.choice(
            (
                b"PLTE",
                b"tRNS",
                b"iCCP",
                b"zTXt",
                b"iTXt",
                b"tEXt",
                b"gAMA",
                b"pHYs",
                b"acTL",
                b"fcTL",
                b"eXIf",
                b"cHRM",
                b"IHDR",
                b"\xff\0ab",
                b"fdAT",
            )
        )
        body = random.choice(
            (
                b"",
                b"a\0\0" + zlib.compress(bytes(random.choice((10, 1 << 24)))),
                random.randbytes(30),
                struct.pack(">II", 2**31, 0),
                b"\0" * 26,
            )
        )
        chunks.append((kind, body))
    rows = zlib.compress(random.choice((bytes(30), random.randbytes(30), b"\xff" * 30, bytes(1 << 20))))
    chunks += [(b"IDAT", rows if random.random() < 0.9 else forged.damaged(random, rows))] * random.choice((1, 1, 0, 2))
    chunks.append((b"IEND", b""))
    out = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        length = len(body) if random.random() < 0.97 else forged.number(random) % 2**32
        out += struct.pack(">I", length) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return out


def _picture(random: Random) -> bytes:
    if random.random() < 0.4:
        return _png(random)
    mode = random.choice(("RGB", "RGB", "L", "1", "P", "RGBA", "CMYK", "I;16", "F", "LA"))
    kinds = {
        "PNG": "RGBPL1AI;16",
        "JPEG": "RGBLCMYK",
        "GIF": "PL",
        "BMP": "RGBL1P",
        "TIFF": "",
        "PPM": "RGBL",
        "WEBP": "RGB",
        "EPS": "RGBLCMYK",
        "TGA": "RGB",
        "PCX": "RGB",
    }
    file = BytesIO()
    try:
        picture = Pictures.fromarray(np.full((random.choice((1, 4, 9)), random.choice((1, 6)), 3), 80, np.uint8))
        kind = random.choice(("PNG", "PNG", "JPEG", "JPEG", *kinds))
        picture.convert(mode).save(file, kind)
    except (OSError, ValueError, KeyError):
        picture.save(file, "PNG")
    content = file.getvalue()
    if content.startswith(b"\xff\xd8") and random.random() < 0.4:
        at = content.find(b"\xff\xc0")
        size = struct.pack(">HH", *(random.choice((1, 60_000, forged.number(random) % 2**16)) for _ in range(2)))
        return content[: at + 5] + size + content[at + 9 :]
    return random.choice((content, forged.struck(random, content), forged.damaged(random, content)))


def _folder(random: Random, root: Path) -> Path:
    split = random.random() < 0.6
    for part in ("train", "val") if split else (".",):
        for name in ("a", "b"):
            folder = root / part / name
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(3):
                kind = random.choice(("png", "jpg", "JPEG"))
                path = folder / f"{index}.{kind}"
                if random.random() < 0.5:
                    path.write_bytes(_picture(random))
                elif random.random() < 0.05:
                    _odd_entry(random, path)
                else:
                    Pictures.fromarray(np.full((4 + index, 6, 3), 80, np.uint8)).save(path)
    if random.random() < 0.1:
        entry = root / random.choice(("train", "a", "\x1b[31m", "x\ny", ".hidden", "val/c"))
        if not entry.exists() and entry.parent.exists():
            _odd_entry(random, entry)
    return root


ARCHIVES: Final = ("nmnist_1ms_train.npz", "nmnist_train1000_us.npz", "nmnist_1ms_test.npz")


def _nmnist_archives(random: Random, root: Path) -> Path:
    victim = random.choice(ARCHIVES)
    for name in ARCHIVES:
        count = 9
        columns = {
            "x": np.arange(count, dtype=np.uint8),
            "y": np.arange(count, dtype=np.uint8),
            "p_bits": np.packbits(np.arange(count) % 2),
            "n": np.array([4, 0, 5], np.uint32),
            "label": np.array([7, 1, 9], np.uint8),
            "id": np.array([11, 12, 13], np.uint32),
        }
        gaps = np.array([0, 0, 1, 0, 5, 0, 0, 1, 1], np.uint8)
        columns |= {"dt_lo": gaps, "dt_hi": gaps} if "_us" in name else {"dt_ms": gaps}
        if name == victim and random.random() < 0.7:
            _spoil(random, columns)
        members = {f"{key}.npy": hostile_columns.saved(column) for key, column in columns.items()}
        if name == victim and random.random() < 0.3:
            members[random.choice(list(members))] = forged.npy(random)
        content = forged.zipped(random, members, name == victim and random.random() < 0.4)
        if name == victim and random.random() < 0.2:
            content = forged.damaged(random, content)
        (root / name).write_bytes(content)
    return root


def _spoil(random: Random, columns: dict[str, np.ndarray]) -> None:
    """Makes some of ``columns`` hostile."""
    for key in random.sample(list(columns), random.randrange(1, 4)):
        match random.randrange(6):
            case 0:
                columns[key] = hostile_columns.column(random, columns[key].dtype.str, 40, len(columns[key]))
            case 1:
                columns[key] = np.array([forged.number(random) % 2**64 for _ in columns[key]], np.uint64)
            case 2:
                columns[key] = columns[key][: random.randrange(5)]
            case 3:
                columns[key] = np.zeros(random.choice((0, 1 << 10, 1 << 24)), columns[key].dtype)
            case 4:
                columns[key] = (
                    columns[key].reshape(-1, 1) if random.random() < 0.5 else np.array(forged.number(random) % 256)
                )
            case 5:
                columns[key] = columns[key].astype(random.choice(("<f8", "|S4", "<i8", "<m8[us]", "<u8", "|b1", "<c8")))


def _recorded(random: Random, root: Path, name: str) -> Path:
    """A folder of N-MNIST, N-Caltech101, DVS128 Gesture or CIFAR10-DVS, with a few hostile files."""
    if name == "nmnist":
        places = [root / part / str(label) / f"{label}.bin" for part in ("Train", "Test") for label in range(10)]
    elif name == "ncaltech101":
        names = ("accordion", *(f"class_{number:03}" for number in range(1, 101)))
        places = [root / each / "image_0001.bin" for each in names]
    elif name == "dvsgesture":
        parts = (("ibmGestureTrain", "user01_led"), ("ibmGestureTest", "user24_led"))
        places = [root / part / user / f"{label}.npy" for part, user in parts for label in (10, 2, 0)]
    else:
        names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
        places = [root / each / f"{index}.aedat4" for each in names for index in range(2)]
    if random.random() < 0.05:
        places.append(random.choice(places).with_stem(random.choice(("11", "-1", "\u0663", "x", "\x1b[1m", "9" * 100))))
    hostile = set(random.sample(places[:LOOKED_AT], random.choice((1, 1, 2, 3))))
    for path in places:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path in hostile and random.random() < 0.05:
            _odd_entry(random, path)
        else:
            path.write_bytes(_recording(random, path.suffix, path in hostile))
    return root


def _recording(random: Random, suffix: str, hostile: bool) -> bytes:
    if suffix == ".bin":
        content = bytes([1, 7, 0x80, 0, 10, 0, 4, 0, 1, 0, 23, 17, 0, 1, 16])
    elif suffix == ".npy":
        rows = np.array([[1, 5, 1, 40], [127, 6, 0, 42], [3, 127, 1, 42]], np.float64)
        if hostile:
            times = np.sort([random.choice((0, 40, 42, 2**31, 2**32 - 1)) for _ in rows])
            later = np.column_stack([rows[:, :3], times]).astype(random.choice(("f8", "i8", "u4", "f4")))
            scaled = rows * random.choice((1, -1, 1e300, 0.5))
            rows = random.choice((hostile_columns.plain(random), scaled, later, later, rows[:0], rows + np.inf))
        content = hostile_columns.saved(rows)
    else:
        content = aedat4(
            [(1_500_000_000_000_100, 1, 127, 1), (1_500_000_000_000_350, 127, 3, 0)][
                : random.choice((0, 2)) if hostile else 2
            ]
        )
    if hostile and suffix == ".npy" and random.random() < 0.2:
        return forged.npy(random)
    if hostile:
        return random.choice((forged.struck(random, content), forged.damaged(random, content), content))
    return content


def _one_of(name: str) -> Callable[[Random, Path], Path]:
    return lambda random, root: _recorded(random, root, name)


FAMILIES: Final = (
    Family("pictures-idx", _idx, read_set("mnist")),
    Family("pictures-cifar", _cifar(cifar.CIFAR100), read_set("cifar100")),
    Family("pictures-folder", _folder, read_set("imagefolder")),
    Family("set-nmnist-archives", _nmnist_archives, read_set("nmnist")),
    *(
        Family(f"set-{name}", _one_of(name), read_set(name))
        for name in ("nmnist", "ncaltech101", "dvsgesture", "cifar10dvs")
    ),
)
