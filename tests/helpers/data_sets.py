"""Small files in the layouts and formats of public data sets: pictures, and recordings of event cameras."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from helpers.aedat4 import aedat4
from PIL import Image as Pictures

from deploytool.data.sets import cifar, cifar10dvs, mnist

USERS = {"ibmGestureTrain": ("user01_fluorescent", "user02_led"), "ibmGestureTest": ("user24_led",)}


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape) + array.tobytes()


def write_mnist(root: Path, count: int = 20, compressed: bool = True) -> None:
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for images, labels in mnist.FILES.values():
        arrays = rng.integers(0, 256, (count, 28, 28)), np.arange(count) % 10
        for name, array in zip((images, labels), arrays, strict=True):
            content = idx(array.astype(np.uint8))
            (root / (name + ".gz" * compressed)).write_bytes(gzip.compress(content) if compressed else content)


def write_cifar(root: Path, layout: cifar.Layout, count: int = 20) -> np.ndarray:
    """Writes the files; returns the rows of the first."""
    folder = root / layout.folder
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for file in layout.test + layout.train[::-1]:
        rows = rng.integers(0, 256, (count, layout.labels + 3072)).astype(np.uint8)
        rows[:, layout.labels - 1] = np.arange(count) % layout.classes
        (folder / file).write_bytes(rows.tobytes())
    return rows


def write_pictures(root: Path, parts: tuple[str, ...] = ("train", "val"), count: int = 3) -> None:
    for part in parts:
        for number, name in enumerate(("n01", "n02", "n10")):
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = np.full((4 + index, 6, 3), 80 * number, np.uint8)
                Pictures.fromarray(pixels).save(folder / f"{index}.{('png', 'jpg', 'JPEG')[index % 3]}")


def write_gesture(root: Path, kind: type[np.number] = np.float64) -> None:
    """Events at 40, 42 and 42 ms; columns x, y, polarity, ms."""
    for part, users in USERS.items():
        for user in users:
            (root / part / user).mkdir(parents=True)
            for label in (10, 2, 0):
                rows = [[label, 5, 1, 40], [127, 6, 0, 42], [3, 127, 1, 42]]
                np.save(root / part / user / f"{label}.npy", np.array(rows, kind))


def write_cifar10dvs(root: Path, count: int = 10) -> None:
    for name in cifar10dvs.NAMES:
        (root / name).mkdir(parents=True)
        for index in range(count):
            rows = [(1_500_000_000_000_100, index, 127, 1), (1_500_000_000_000_350, 127, index, 0)]
            (root / name / f"cifar10_{name}_{index}.aedat4").write_bytes(aedat4(rows))


def write_ncaltech101(root: Path, count: int = 10) -> None:
    for number in range(101):
        folder = root / ("accordion" if number == 0 else f"class_{number:03d}")
        folder.mkdir(parents=True)
        for index in range(count):
            content = [index, 7, 0x80, 1, 0, 0, 240, 0, 0, 0, 239, 179, 0, 1, 16]
            (folder / f"image_{index:04d}.bin").write_bytes(bytes(content))


def write_set(name: str, root: Path) -> None:
    """Writes the data set called ``name`` as it is unpacked in a folder ``root``."""
    match name:
        case "cifar10" | "cifar100":
            write_cifar(root, cifar.CIFAR10 if name == "cifar10" else cifar.CIFAR100)
        case "imagefolder":
            write_pictures(root)
        case "dvsgesture":
            write_gesture(root / "DVSGesture")
        case "cifar10dvs":
            write_cifar10dvs(root / "CIFAR10DVS")
        case "ncaltech101":
            write_ncaltech101(root / "NCALTECH101" / "Caltech101")
        case _:
            raise ValueError(f"no small files of the set {name}")
