"""The data sets by name. A new one is a file beside this one with `parts` and `fingerprint`, and a line in DATASETS."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from deploytool.data.images import Image
from deploytool.data.sets import (
    cifar,
    cifar10dvs,
    digits,
    digits_saccades,
    dvsgesture,
    events,
    imagefolder,
    mnist,
    ncaltech101,
    nmnist,
    nmnist_saccades,
    speech,
)
from deploytool.data.sets.source import Source
from deploytool.ir.events import EventStream
from deploytool.ir.speech import Mixture

EVENT_SETS: Final[Mapping[str, Source[EventStream]]] = {
    "digits": Source(
        "handwritten digits before a simulated event camera; no download",
        digits.SHAPE,
        digits.CLASSES,
        digits.parts,
        digits.fingerprint,
    ),
    "nmnist": Source(
        "N-MNIST: digits before a moving event camera, all or a part",
        nmnist.SHAPE,
        nmnist.CLASSES,
        nmnist.parts,
        nmnist.fingerprint,
        locate=nmnist.locate,
    ),
    "digits-saccades": Source(
        "digits before a moving camera: their velocity; no download",
        digits.SHAPE,
        0,
        digits_saccades.parts,
        digits_saccades.fingerprint,
        values=digits_saccades.VALUES,
        unit=digits_saccades.UNIT,
    ),
    "nmnist-saccades": Source(
        "the velocity of the image in N-MNIST, whose camera moves",
        nmnist.SHAPE,
        0,
        nmnist_saccades.parts,
        nmnist_saccades.fingerprint,
        locate=nmnist.locate,
        values=digits_saccades.VALUES,
        unit=digits_saccades.UNIT,
    ),
    "dvsgesture": Source(
        "DVS128 Gesture: 11 gestures, split by people; tonic's layout",
        dvsgesture.SHAPE,
        dvsgesture.CLASSES,
        dvsgesture.parts,
        dvsgesture.fingerprint,
        locate=dvsgesture.locate,
    ),
    "cifar10dvs": Source(
        "CIFAR10-DVS: 10 classes, split by hash; tonic's layout",
        cifar10dvs.SHAPE,
        len(cifar10dvs.NAMES),
        cifar10dvs.parts,
        cifar10dvs.fingerprint,
        lambda _: cifar10dvs.NAMES,
        locate=cifar10dvs.locate,
    ),
    "ncaltech101": Source(
        "N-Caltech101: 101 classes, split by hash; tonic's layout",
        ncaltech101.SHAPE,
        ncaltech101.CLASSES,
        ncaltech101.parts,
        ncaltech101.fingerprint,
        ncaltech101.class_names,
        locate=ncaltech101.locate,
    ),
    events.NAME: Source(
        "recordings of your own: train/CLASS/*, test/CLASS/*, or CLASS/*",
        (events.FEATURES, 0, 0),
        0,
        events.parts,
        events.fingerprint,
        opens=events.own,
    ),
}

IMAGE_SETS: Final[Mapping[str, Source[Image]]] = {
    "digits-images": Source(
        "the digits as images, 1x8x8; no download",
        digits.IMAGE_SHAPE,
        digits.CLASSES,
        digits.image_parts,
        digits.fingerprint,
    ),
    "mnist": Source(
        "MNIST: images of digits, 1x28x28; IDX files",
        mnist.SHAPE,
        mnist.CLASSES,
        partial(mnist.parts, "mnist"),
        partial(mnist.fingerprint, "mnist"),
        locate=partial(mnist.locate, "mnist"),
    ),
    "fashionmnist": Source(
        "Fashion-MNIST: images of clothes, 1x28x28; IDX files",
        mnist.SHAPE,
        mnist.CLASSES,
        partial(mnist.parts, "fashionmnist"),
        partial(mnist.fingerprint, "fashionmnist"),
        locate=partial(mnist.locate, "fashionmnist"),
    ),
    "cifar10": Source(
        "CIFAR-10: photographs, 10 classes, 3x32x32; binary version",
        cifar.SHAPE,
        cifar.CIFAR10.classes,
        partial(cifar.parts, cifar.CIFAR10),
        partial(cifar.fingerprint, cifar.CIFAR10),
        locate=partial(cifar.locate, cifar.CIFAR10),
    ),
    "cifar100": Source(
        "CIFAR-100: photographs, 100 classes, 3x32x32; binary version",
        cifar.SHAPE,
        cifar.CIFAR100.classes,
        partial(cifar.parts, cifar.CIFAR100),
        partial(cifar.fingerprint, cifar.CIFAR100),
        locate=partial(cifar.locate, cifar.CIFAR100),
    ),
    "imagefolder": Source(
        "pictures, train/<class>/* and val/<class>/*, scaled to data.size",
        (3, 0, 0),
        0,
        imagefolder.parts,
        imagefolder.fingerprint,
        imagefolder.class_names,
        locate=imagefolder.locate,
    ),
}

SPEECH_SETS: Final[Mapping[str, Source[Mixture]]] = {
    speech.SPEECH: Source(
        "mixtures of two speakers: SPEAKER/*.wav",
        (1, 1, 0),
        0,
        partial(speech.parts_at, speech.SPEECH),
        partial(speech.fingerprint_at, speech.SPEECH),
        opens=speech.opened,
        locate=speech.located,
    ),
    speech.VOICES: Source(
        "mixtures of two synthetic voices, no speech; no download",
        (1, 1, 0),
        0,
        partial(speech.parts_at, speech.VOICES),
        partial(speech.fingerprint_at, speech.VOICES),
        opens=speech.opened,
    ),
}

DATASETS: Final[Mapping[str, Source[Any]]] = {**EVENT_SETS, **IMAGE_SETS, **SPEECH_SETS}
