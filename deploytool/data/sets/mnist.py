"""MNIST (LeCun et al. 1998) and Fashion-MNIST (Xiao et al. 2017): 70,000 images of 28x28, in the same four IDX files.

An IDX file begins with the bytes 0, 0, 8 (unsigned bytes) and the number of axes, then each axis's length as a 32-bit
integer, highest byte first, then the values. Files are read as they are, or compressed with gzip (``.gz``).
"""

from __future__ import annotations

import gzip
import math
import zlib
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Shape
from deploytool.base.digest import digest
from deploytool.base.errors import InputError
from deploytool.data.images import Image
from deploytool.data.samples import Samples
from deploytool.data.sets.downloads import how_to_get
from deploytool.data.sets.folders import not_there, place_of

SHAPE: Final[Shape] = (1, 28, 28)
CLASSES: Final = 10
AXES_MAX: Final = 8
"""The most axes that an IDX file may have; numpy has a limit of its own, and the format has 255."""
SIZE_MAX: Final = 1 << 28
"""The most bytes that a file may have when it is unpacked, five times those of the largest."""
FILES: Final = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_NEED: Final = f"{', '.join(name for files in FILES.values() for name in files)}, each unpacked or as .gz"


def parts(name: str, root: str | None) -> tuple[Samples[Image], Samples[Image]]:
    """The official (training, test) images of the set ``name`` in the folder ``root``.

    Raises RecipeError without a root, InputError if they are missing or damaged.
    """
    train, test = (_samples(name, part, *_contents(name, root, files)) for part, files in FILES.items())
    return train, test


def fingerprint(name: str, root: str | None) -> str:
    """The fingerprint of the data in ``root``: the hashes of the uncompressed content of the files."""
    contents = [content for files in FILES.values() for content in _contents(name, root, files)]
    return digest([sha256(content).hexdigest() for content in contents])


def _contents(name: str, root: str | None, files: tuple[str, str]) -> tuple[bytes, bytes]:
    found = locate(name, root)
    images, labels = (_read(found[file], found[file].stat().st_mtime_ns) for file in files)
    return images, labels


def locate(name: str, root: str | None) -> dict[str, Path]:
    """{file: where it is, as it is or as .gz} of the set ``name`` in ``root``. Raises as `parts` if one is missing."""
    folder = place_of(root, name)
    found = {
        file: path
        for files in FILES.values()
        for file in files
        for path in (folder / f"{file}.gz", folder / file)
        if path.is_file()
    }
    if not found:
        raise not_there(name, root, f"the folder that holds {_NEED}")
    if missing := [file for files in FILES.values() for file in files if file not in found]:
        raise InputError(str(folder), f"no {missing[0]} and no {missing[0]}.gz", _NEED, how_to_get(name))
    return found


@lru_cache(maxsize=4)
def _read(path: Path, _changed_ns: int) -> bytes:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(SIZE_MAX + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(str(path), f"cannot be read ({error})", "an IDX file", "Copy it again.") from None
    if len(content) > SIZE_MAX:
        raise InputError(str(path), f"more than {SIZE_MAX:,} bytes", "an IDX file of at most as many, unpacked")
    return content


def _samples(name: str, part: str, images: bytes, labels: bytes) -> Samples[Image]:
    where = f"data.set {name}, {part}"
    pixels, classes = idx_array(images, f"{where} images"), idx_array(labels, f"{where} labels")
    if pixels.shape[1:] != SHAPE[1:] or classes.shape != pixels.shape[:1] or classes.max(initial=0) >= CLASSES:
        raise InputError(
            where,
            f"images {pixels.shape} and labels {classes.shape} up to {classes.max(initial=0)}",
            f"images (S, 28, 28) and labels (S,) of 0 to {CLASSES - 1}",
        )

    def make(index: int) -> Image:
        return Image(pixels[index : index + 1], int(classes[index]), f"{name}/{part}/{index:05d}")

    return Samples(classes.astype(np.int64), make)


def idx_array(content: bytes, where: str) -> NDArray[np.uint8]:
    """The read-only array in the ``content`` of an IDX file of bytes. Raises InputError if it is not one or is cut."""
    axes = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    axes = axes if axes <= AXES_MAX else 0
    start = 4 + 4 * axes
    lengths = np.frombuffer(content[4:start], ">u4").astype(np.int64) if axes and len(content) >= start else np.zeros(0)
    size = math.prod(lengths.tolist())
    if not axes or len(lengths) != axes or len(content) - start != size:
        raise InputError(where, f"{len(content)} bytes", "a complete IDX file of unsigned bytes", "Copy it again.")
    if not size:
        raise InputError(where, f"an empty array {tuple(lengths.tolist())}", "at least one sample")
    return np.frombuffer(content, np.uint8, offset=start).reshape(lengths)
