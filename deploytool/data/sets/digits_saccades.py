"""The digits before a simulated event camera whose eye moves at random: how fast does the image move?

The images and the camera are those of `deploytool.data.sets.digits`. In every sample the eye makes ``SACCADES`` of
``SACCADE_MS`` each, from one random point of a square to the next, with the speed of a raised cosine. The targets are
the velocity of the image on the sensor, (down, right) in pixels per second: the eye's, with the opposite sign. They are
known exactly, and stated as the mean of every millisecond. The digit and the time say nothing about them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

from deploytool.base.digest import digest
from deploytool.data.samples import Samples
from deploytool.data.sets import digits
from deploytool.data.sets.digits import Floats
from deploytool.ir.events import EventStream

VALUES: Final = ("v_y", "v_x")
UNIT: Final = "px/s"
SACCADES: Final = 4
SACCADE_MS: Final = 25
REACH: Final = 1.5
"""Half the side of the square in which the eye moves, in sensor pixels."""
DURATION_US: Final = SACCADES * SACCADE_MS * 1000
_SEED: Final = 30


def parts(root: str | None) -> tuple[Samples[EventStream], Samples[EventStream]]:
    """The (training, test) samples, split as those of the set digits. Their classes serve to split them evenly."""
    digits.refuse_root(root)
    _, labels = digits.labelled_images()
    return digits.split(Samples(labels, _streams().__getitem__))


def fingerprint(root: str | None) -> str:
    """The fingerprint of the data: the parameters of the procedure and the images."""
    return digest((digits.fingerprint(root), SACCADES, SACCADE_MS, REACH, _SEED))


@lru_cache(maxsize=1)
def _streams() -> tuple[EventStream, ...]:
    images, _ = digits.labelled_images()
    eye = paths(len(images))
    found = []
    for index, events in enumerate(digits.camera_events(images, eye)):
        events["t"] = np.minimum(events["t"], DURATION_US - 1)
        name, targets = f"digits-saccades/{index}", velocities(eye[:, index]).astype(np.float32)
        found.append(EventStream(events, digits.SHAPE, DURATION_US, name=name, targets=targets))
    return tuple(found)


def paths(samples: int) -> Floats:
    """(K + 1, S, 2): the gaze of every sample, (y, x) in sensor pixels from the middle, at every millisecond 0..K."""
    # A bit generator's raw stream is the same in every version of numpy, a Generator's methods are not.
    draws = np.random.PCG64(_SEED).random_raw(samples * (SACCADES + 1) * 2) / 2**64
    points = REACH * (2 * draws.reshape(samples, SACCADES + 1, 2) - 1)
    progress = (1 - np.cos(np.pi * np.arange(SACCADE_MS) / SACCADE_MS)) / 2
    ways = np.diff(points, axis=1)
    path = points[:, :-1, None] + progress[:, None] * ways[:, :, None]
    whole = np.concatenate([path.reshape(samples, -1, 2), points[:, -1:]], axis=1)
    return np.ascontiguousarray(whole.swapaxes(0, 1))


def velocities(path: Floats) -> Floats:
    """(K, 2): the mean velocity of the image in every millisecond of the ``path`` (K + 1, 2) of the eye, in px/s."""
    moved: Floats = -1000 * np.diff(path, axis=0)
    return moved
