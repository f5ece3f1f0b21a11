"""N-MNIST for the motion of its camera: how fast does the image move?

The camera of N-MNIST moves along a triangle in three saccades of 105 ms, the same in every recording (Orchard et al.
2015, "Converting static image datasets to spiking neuromorphic datasets using saccades"): the image moves by 7 pixels
down and 3.5 to the right, 7 up and 3.5 to the right, and 7 to the left. The targets are its mean velocity in a saccade,
(down, right) in pixels per second; the speed within a saccade is not known, and taken to be constant.

The triangle is closed. So that time does not give the direction away, a sample begins with one of the three saccades,
which its name determines: the events before it are moved to the end.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import numpy as np

from deploytool.base.digest import digest
from deploytool.data.samples import Samples
from deploytool.data.sets import nmnist
from deploytool.ir.events import EventStream

SACCADE_US: Final = 105_000
MOVES_PX: Final = ((7.0, 3.5), (-7.0, 3.5), (0.0, -7.0))
"""(down, right) by which the image moves in each saccade, in pixels."""
DURATION_US: Final = len(MOVES_PX) * SACCADE_US
STATED: Final = 21
"""Targets in each saccade, so that windows may be parts of one."""


def parts(root: str | None) -> tuple[Samples[EventStream], Samples[EventStream]]:
    """The official (training, test) samples in ``root``. Their classes serve to split them evenly."""
    train, test = nmnist.parts(root)
    return train.map(moving), test.map(moving)


def fingerprint(root: str | None) -> str:
    """The fingerprint of the data: the parameters of the procedure and the recordings."""
    return digest((nmnist.fingerprint(root), SACCADE_US, MOVES_PX, STATED))


def first_saccade(name: str) -> int:
    """The saccade, 0 to 2, with which the sample called ``name`` begins."""
    return int(sha256(name.encode()).hexdigest()[:8], 16) % len(MOVES_PX)


def moving(stream: EventStream) -> EventStream:
    """The recording ``stream`` of N-MNIST, from its `first_saccade` on, with the velocity of the image as targets."""
    first = first_saccade(stream.name)
    events = stream.events[stream.events["t"] < DURATION_US].copy()
    events["t"] = (events["t"] - first * SACCADE_US) % DURATION_US
    events = events[np.argsort(events["t"], kind="stable")]
    moves = (np.roll(np.array(MOVES_PX), -first, axis=0) / (SACCADE_US / 1e6)).astype(np.float32)
    name = stream.name.replace("nmnist", "nmnist-saccades", 1)
    return EventStream(events, stream.shape, DURATION_US, name=name, targets=np.repeat(moves, STATED, axis=0))
