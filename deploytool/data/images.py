"""Images, and how they become events: by count or by rate. Both are frozen values that turn an Image into events."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Shape, frozen
from deploytool.base.digest import digest
from deploytool.base.errors import InputError
from deploytool.ir.events import EventStream, at_places

FORMATS: Final = ("PNG", "JPEG")
"""The formats of pictures that are read; others of Pillow start programs, or read further files."""
PIXELS_MAX: Final = 1 << 26
"""The most pixels of a picture, before it is scaled."""
_GOLDEN: Final = 40503
"""2**16 divided by the golden ratio: its multiples modulo 2**16 are evenly spread and not in order."""


@dataclass(frozen=True, eq=False)
class Image:
    """One image: ``pixels`` (C, H, W) uint8, read-only, from 0 (black) to ``top`` (white).

    ``label`` is its class. ``name`` states its origin and is used in messages.
    """

    pixels: NDArray[np.uint8]
    label: int
    name: str
    top: int = 255

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", frozen(self.pixels))

    @property
    def shape(self) -> Shape:
        """(C, H, W)."""
        channels, height, width = self.pixels.shape
        return channels, height, width


@dataclass(frozen=True)
class CountCoding:
    """Every pixel as n = round(intensity * levels) events, evenly over ``duration_us`` (a half is rounded up).

    Its k-th event, k = 0..n-1, comes at (k + phase) / n of the duration. Phases are multiples of the golden ratio, so
    that pixels fire interleaved: in raster order a spiking network would see the upper rows before the lower ones.
    This is the input of progressive tandem learning (Wu et al. 2021, "Progressive tandem learning for pattern
    recognition with deep spiking neural networks"), whose counts over N_s steps are these counts with ``levels`` = N_s.
    """

    levels: int
    duration_us: int

    def __call__(self, image: Image) -> EventStream:
        """The events of ``image``, the same every time."""
        number = (2 * self.levels * image.pixels.astype(np.int64).ravel() + image.top) // (2 * image.top)
        place = np.repeat(np.arange(number.size), number)
        nth = np.arange(len(place)) - np.repeat(np.cumsum(number) - number, number)
        return _interleaved(image, place, nth, number[place], self.duration_us)


@dataclass(frozen=True)
class RateCoding:
    """In each of ``levels`` slots of ``duration_us`` every pixel fires once with a probability equal to its intensity.

    The Bernoulli draws depend only on the name of the image, so a sample is the same every time. Within a slot a pixel
    fires at its phase, as in CountCoding.
    """

    levels: int
    duration_us: int

    def __call__(self, image: Image) -> EventStream:
        """The events of ``image``, the same every time."""
        size = image.pixels.size
        # A bit generator's raw stream is the same in every version of numpy, a Generator's methods are not.
        draws = np.random.PCG64(int(digest(image.name)[:15], 16)).random_raw(self.levels * size) >> np.uint64(32)
        limit = (image.pixels.ravel().astype(np.uint64) << np.uint64(32)) // np.uint64(image.top)
        slot, place = np.nonzero(draws.reshape(self.levels, size) < limit)
        return _interleaved(image, place, slot, np.full(len(place), self.levels), self.duration_us)


def _interleaved(
    image: Image, place: NDArray[np.int64], nth: NDArray[np.int64], number: NDArray[np.int64], duration_us: int
) -> EventStream:
    """One event per row: at pixel ``place`` of ``image``, in slot ``nth`` of ``number`` equal ones, at its phase."""
    phase = place * _GOLDEN % 2**16
    first, last = -(-nth * duration_us // number), -(-(nth + 1) * duration_us // number) - 1
    t = np.clip((nth * 2**16 + phase) * duration_us // (number * 2**16), first, last)
    order = np.lexsort((phase, t))
    events = at_places(t[order], place[order], image.shape)
    return EventStream(events, image.shape, duration_us, image.label, image.name)


@dataclass(frozen=True)
class Fit:
    """The largest part of an image around its middle that has the proportions of ``height`` x ``width``, scaled to
    that size: each pixel the mean of what it covers, by a triangular filter (Pillow's bilinear resampling)."""

    height: int
    width: int

    def __call__(self, image: Image) -> Image:
        """``image`` as (C, ``height``, ``width``)."""
        from PIL import Image as Pictures
        from PIL import ImageOps

        if image.shape[1:] == (self.height, self.width):
            return image
        bands = [Pictures.fromarray(band) for band in image.pixels]
        fitted = [ImageOps.fit(band, (self.width, self.height), Pictures.Resampling.BILINEAR) for band in bands]
        return Image(np.stack([np.asarray(band) for band in fitted]), image.label, image.name, image.top)


def read_image(path: Path, label: int, name: str) -> Image:
    """The picture in the file ``path`` as three features red, green, blue.

    Raises InputError if it is no .png or .jpeg picture, whatever its name says, or has more than `PIXELS_MAX` pixels.
    """
    from PIL import Image as Pictures

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damage in what is not the picture, as descriptions and animations
            warnings.simplefilter("error", Pictures.DecompressionBombWarning)
            with Pictures.open(path, formats=FORMATS) as picture:
                width, height = picture.size
                if width * height > PIXELS_MAX:
                    raise ValueError(f"{width} x {height} pixels, more than {PIXELS_MAX:,}")
                pixels = np.asarray(picture.convert("RGB"))
    except MemoryError:
        raise
    except Exception as error:  # Pillow lets many kinds of errors out of a damaged file
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise InputError(str(path), f"cannot be read ({reason})", "a .png or .jpeg picture") from None
    return Image(pixels.transpose(2, 0, 1), label, name)
