"""scikit-learn's handwritten digits as event streams: a simulated event camera makes three saccades over each image.

The procedure is that of ESIM (Rebecq, Gehrig, Scaramuzza 2018, "ESIM: an open event camera simulator"), with the
motion of N-MNIST (Orchard et al. 2015):

1. The 8x8 image, scaled to 0..1, is a surface I(y, x), linear between the pixels' centres and 0 around them, and
   covers ``MAGNIFICATION`` sensor pixels per image pixel at the middle of a 16x16 sensor.
2. The eye moves along a triangle in three saccades of ``SACCADE_MS`` each, with the speed of a raised cosine, back to
   where it began. The log intensity L = ln(``DARK`` + I) of every sensor pixel is taken every millisecond, and is
   linear in between.
3. Each pixel remembers the level L_ref of its last event. Where L has gone up (down) from L_ref by the contrast
   threshold C = ``CONTRAST`` it sends an ON (c = 1) or OFF (c = 0) event at the interpolated time of the crossing, to
   the microsecond, and L_ref moves by C. At first L_ref is within C / 2 of L, differently for every pixel, as in a
   camera that has been on before; pixels that look back on the same spot would otherwise all fire in one microsecond,
   or not, by the last bit of the arithmetic. There is no noise and no refractory period.

Everything follows from the image, so a sample is the same every time. Simultaneous events are in order of c, y, x.
"""

from __future__ import annotations

import gzip
import importlib.util
import zlib
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Shape
from deploytool.base.digest import digest
from deploytool.base.errors import InputError, RecipeError
from deploytool.base.extras import require
from deploytool.data.images import Image
from deploytool.data.samples import Samples, hold_out
from deploytool.ir.events import EVENT, Events, EventStream

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Made = TypeVar("Made")

SHAPE: Final[Shape] = (2, 16, 16)
IMAGE_SHAPE: Final[Shape] = (1, 8, 8)
CLASSES: Final = 10
WHITE: Final = 16
"""The largest value of a pixel."""

MAGNIFICATION: Final = 1.5
CORNERS: Final = ((-1.0, -1.0), (1.0, 0.0), (-1.0, 1.0))
"""Where saccades begin, (y, x) in sensor pixels from the middle; each ends where the next begins."""
SACCADE_MS: Final = 33
DARK: Final = 0.1
CONTRAST: Final = 0.3
DURATION_US: Final = 100_000
TEST_SHARE: Final = 0.2
GROUP: Final = 64
"""Images that are made together: the arrays of more leave the cache of the processor."""
_TEST_SEED: Final = 20
FILE: Final = "datasets/data/digits.csv.gz"


def parts(root: str | None) -> tuple[Samples[EventStream], Samples[EventStream]]:
    """The (training, test) samples; 20 % of every class are test samples, the same in every recipe."""
    refuse_root(root)
    _, labels = labelled_images()
    return split(Samples(labels, _stream))


def image_parts(root: str | None) -> tuple[Samples[Image], Samples[Image]]:
    """The (training, test) images themselves, of values 0..16, split as in `parts`."""
    refuse_root(root)
    images, labels = labelled_images()
    pixels = np.rint(images * WHITE).astype(np.uint8)[:, None]
    return split(Samples(labels, lambda i: Image(pixels[i], int(labels[i]), f"digits-images/{i}", WHITE)))


def split(samples: Samples[Made]) -> tuple[Samples[Made], Samples[Made]]:
    """(training, test) of the ``samples`` of all images."""
    train, test = hold_out(samples.labels, TEST_SHARE, _TEST_SEED)
    return samples.take(train), samples.take(test)


def fingerprint(root: str | None) -> str:
    """The fingerprint of the data: the parameters of the procedure and the images."""
    refuse_root(root)
    parameters = (SHAPE, DURATION_US, MAGNIFICATION, CORNERS, SACCADE_MS, DARK, CONTRAST, TEST_SHARE, _TEST_SEED)
    return digest((parameters, labelled_images()))


def refuse_root(root: str | None) -> None:
    """Raises RecipeError for a ``root``: the images come with scikit-learn."""
    if root is not None:
        raise RecipeError("data.root", f"found {root!r}", "no root for the set digits, which comes with scikit-learn")


@lru_cache(maxsize=1)
def labelled_images() -> tuple[Floats, Ints]:
    """Images (1797, 8, 8), 0..1, and labels (1797,).

    They are read from the file in scikit-learn, whose import takes more than a second. Raises InputError if it is
    damaged.
    """
    require("data.set digits", "sklearn")
    path = _installed("sklearn") / FILE
    try:
        table = np.loadtxt(gzip.decompress(path.read_bytes()).decode("ascii").splitlines(), delimiter=",", ndmin=2)
        pixels, labels = table[:, :-1].reshape(-1, *IMAGE_SHAPE[1:]), table[:, -1].astype(np.int64)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise InputError(str(path), f"not readable ({error})", "the images of scikit-learn", "Reinstall it.") from None
    return pixels / WHITE, labels


def _installed(package: str) -> Path:
    """The folder of ``package``, which is not imported."""
    found = importlib.util.find_spec(package)
    return Path(found.origin).parent if found and found.origin else Path(package)


@lru_cache(maxsize=1)
def _groups() -> tuple[Ints, Ints]:
    """The images in the order in which they are made, training images before test images, and the place of each."""
    _, labels = labelled_images()
    order = np.concatenate(hold_out(labels, TEST_SHARE, _TEST_SEED))
    return order, np.argsort(order)


def _stream(index: int) -> EventStream:
    """Sample ``index``, made with the others of its group."""
    _, places = _groups()
    group, place = divmod(int(places[index]), GROUP)
    return _streams(group)[place]


@cache
def _streams(group: int) -> tuple[EventStream, ...]:
    images, labels = labelled_images()
    order, _ = _groups()
    chosen = order[group * GROUP : (group + 1) * GROUP]
    made = zip(chosen, camera_events(images[chosen], eye_path()), strict=True)
    return tuple(EventStream(events, SHAPE, DURATION_US, int(labels[i]), f"digits/{i}") for i, events in made)


def camera_events(images: Floats, eye: Floats) -> list[Events]:
    """The events of the camera for each of the images (S, 8, 8), values 0..1, in order of time.

    ``eye`` (K + 1, 2) is the gaze at every millisecond, as in `eye_path`, or (K + 1, S, 2) where it differs.
    """
    reference = levels(images, eye[0]) - _first_phase()
    before = levels(images, eye[0]) - reference
    crossed = np.zeros(before.shape, np.int64)  # n: L_ref is n contrast thresholds above its first value
    found = []
    for millisecond, position in enumerate(eye[1:]):
        after = levels(images, position) - reference
        # An event fires as soon as |after - n| reaches 1: n follows the level, and stays within 1 of it.
        now = np.clip(crossed, np.floor(after), np.ceil(after)).astype(np.int64)
        found.append(_crossings(crossed, now, before, after, millisecond * 1000))
        before, crossed = after, now
    sample, events = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((events["x"], events["y"], events["c"], events["t"], sample))
    bounds = np.searchsorted(sample[order], np.arange(1, len(images)))
    return np.split(events[order], bounds)


def eye_path() -> Floats:
    """(K + 1, 2): the gaze position, (y, x) in sensor pixels from the middle, at every millisecond 0..K."""
    phase = np.arange(SACCADE_MS) / SACCADE_MS
    progress = (1 - np.cos(np.pi * phase)) / 2
    corners = np.array(CORNERS)
    ways = np.roll(corners, -1, axis=0) - corners
    path = corners[:, None] + progress[None, :, None] * ways[:, None]
    return np.concatenate([path.reshape(-1, 2), corners[:1]])


def levels(images: Floats, position: Floats) -> Floats:
    """(S, 16, 16): log intensity in contrast thresholds at every sensor pixel, the eye at ``position`` (y, x).

    ``position`` is (2,), or (S, 2) where it differs between the images.
    """
    rows, columns = (_interpolation(position[..., axis], images.shape[1], SHAPE[1]) for axis in (0, 1))
    intensity: Floats = rows @ images @ np.swapaxes(columns, -1, -2)
    return np.log(DARK + intensity) / CONTRAST


def _first_phase() -> Floats:
    """(16, 16): how far every pixel is above its first L_ref, in contrast thresholds, spread evenly over -1/2..1/2."""
    _, height, width = SHAPE
    golden = (np.sqrt(5) - 1) / 2
    phase: Floats = np.arange(height * width) * golden % 1 - 0.5
    return phase.reshape(height, width)


def _interpolation(offset: Floats, pixels: int, sensor: int) -> Floats:
    """(..., sensor, pixels): the share of each image pixel in the intensity at each sensor pixel, along one axis."""
    seen = (np.arange(sensor) - (sensor - 1) / 2 + offset[..., None]) / MAGNIFICATION + (pixels - 1) / 2
    share: Floats = np.maximum(0, 1 - np.abs(seen[..., None] - np.arange(pixels)))
    return share


def _crossings(crossed: Ints, now: Ints, before: Floats, after: Floats, t_us: int) -> tuple[Ints, Events]:
    """The events of one millisecond from ``t_us`` on, and the sample of each; arrays are (S, 16, 16)."""
    place = np.flatnonzero(now != crossed)
    sign = np.sign(now - crossed).ravel()[place]
    number = np.abs(now - crossed).ravel()[place]
    row = np.repeat(np.arange(len(place)), number)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(number) - number, number) + 1
    place, sign = place[row], sign[row]
    level = crossed.ravel()[place] + sign * nth
    from_level, to_level = before.ravel()[place], after.ravel()[place]
    share = (level - from_level) / (to_level - from_level)
    sample, y, x = np.unravel_index(place, now.shape)
    events = np.empty(len(place), EVENT)
    events["t"] = t_us + np.rint(1000 * np.clip(share, 0, 1))
    events["c"], events["y"], events["x"] = sign > 0, y, x
    return sample, events
