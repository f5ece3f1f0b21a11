"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 60,000 colour photographs of 3x32x32, in the binary version.

A sample is its label (one byte; in CIFAR-100 two, of which the second is the fine label and the one used), then 1,024
bytes each of red, green and blue, row by row. The version for Python is a pickle, which can run any code when it is
read; the binary version of the same site has the same images.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.base.digest import digest
from deploytool.base.errors import InputError
from deploytool.data.images import Image
from deploytool.data.samples import Samples
from deploytool.data.sets.downloads import how_to_get
from deploytool.data.sets.folders import file_content, located

SHAPE: Final[Shape] = (3, 32, 32)


@dataclass(frozen=True)
class Layout:
    """The files of a set on disk: its ``folder``, the name of the ``archive`` of that, the folder of the ``pickled``
    version, the files of its parts, and the bytes of ``labels`` before an image."""

    name: str
    archive: str
    folder: str
    pickled: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    labels: int
    classes: int


CIFAR10: Final = Layout(
    "cifar10",
    "cifar-10-binary.tar.gz",
    "cifar-10-batches-bin",
    "cifar-10-batches-py",
    tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    ("test_batch.bin",),
    labels=1,
    classes=10,
)
CIFAR100: Final = Layout(
    "cifar100",
    "cifar-100-binary.tar.gz",
    "cifar-100-binary",
    "cifar-100-python",
    ("train.bin",),
    ("test.bin",),
    labels=2,
    classes=100,
)


def parts(layout: Layout, root: str | None) -> tuple[Samples[Image], Samples[Image]]:
    """The official (training, test) images of a set in the folder ``root``.

    Raises RecipeError without a root, InputError if they are missing, damaged or pickled.
    """
    folder = locate(layout, root)
    return _samples(layout, folder, "train", layout.train), _samples(layout, folder, "test", layout.test)


def fingerprint(layout: Layout, root: str | None) -> str:
    """The fingerprint of the data in ``root``: the hashes of the files."""
    folder = locate(layout, root)
    return digest([sha256(_read(folder / file)).hexdigest() for file in layout.train + layout.test])


def locate(layout: Layout, root: str | None) -> Path:
    """The folder with the files of a set in ``root``. Raises as `parts`."""
    if root is not None:
        folder = Path(root).expanduser()
        is_pickled = folder.name == layout.pickled or (folder / layout.pickled).is_dir()
        if is_pickled and not (folder / layout.folder).is_dir():
            raise InputError(
                f"data.root {root}",
                f"{layout.pickled}, which is pickled and could run any code when read",
                f"the binary version, {layout.folder}",
                how_to_get(layout.name),
            )
    return located(layout.name, root, (layout.folder, "."), layout.train + layout.test)


def _read(path: Path) -> bytes:
    return file_content(path, "a binary file of CIFAR")


def _samples(layout: Layout, folder: Path, part: str, files: tuple[str, ...]) -> Samples[Image]:
    row = layout.labels + int(np.prod(SHAPE))
    contents = [_read(folder / file) for file in files]
    for file, content in zip(files, contents, strict=True):
        if not content or len(content) % row:
            raise InputError(
                str(folder / file),
                f"{len(content)} bytes",
                f"a positive multiple of {row}, one sample each",
                "The file was cut short or is of another format.",
            )
    rows = np.frombuffer(b"".join(contents), np.uint8).reshape(-1, row)
    labels = rows[:, layout.labels - 1].astype(np.int64)
    if labels.max() >= layout.classes:
        raise InputError(str(folder), f"a label {labels.max()} in {part}", f"0 to {layout.classes - 1}")

    def make(index: int) -> Image:
        pixels = rows[index, layout.labels :].reshape(SHAPE)
        return Image(pixels, int(labels[index]), f"{layout.name}/{part}/{index:05d}")

    return Samples(labels, make)
