"""AutoAugment and RandAugment for pictures.

AutoAugment is the policy that was found on CIFAR-10 (Cubuk et al., 2019, arXiv 1805.09501, table 7): one of 25 pairs of
operations is drawn for a picture. Each operation of the pair is applied with its probability, at its level 0..9 between
two magnitudes. RandAugment (Cubuk et al., 2020, arXiv 1909.13719) applies two operations, each drawn from 14, at one
level 0..10 between the same magnitudes. Where a magnitude has a sign, that is drawn too. Places that an operation
leaves empty become grey.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

LEVELS: Final = 9
"""The highest level of AutoAugment."""

RANDOM_LEVELS: Final = 10
"""The highest level of RandAugment."""

GREY: Final = 128

TRANSLATION: Final = 150 / 331
"""The largest translation, as a share of the side: 150 pixels of the paper's 331."""

Step: TypeAlias = tuple[str | None, float, int]
"""An operation (None: nothing is done), its probability and its level."""

CIFAR10: Final[tuple[tuple[Step, Step], ...]] = (
    (("invert", 0.1, 7), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear y", 0.5, 8), ("translate y", 0.7, 9)),
    (("autocontrast", 0.5, 8), ("equalize", 0.9, 2)),
    (("shear y", 0.2, 7), ("posterize", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 5), ("equalize", 0.5, 1)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate x", 0.5, 8)),
    (("equalize", 0.3, 7), ("autocontrast", 0.4, 8)),
    (("translate y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 3)),
    (("equalize", 0.2, 0), ("autocontrast", 0.6, 0)),
    (("equalize", 0.2, 8), ("equalize", 0.6, 4)),
    (("color", 0.9, 9), ("equalize", 0.6, 6)),
    (("autocontrast", 0.8, 4), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize", 0.4, 5), ("autocontrast", 0.9, 3)),
    (("translate y", 0.9, 9), ("translate y", 0.7, 9)),
    (("autocontrast", 0.9, 2), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 8), ("invert", 0.1, 3)),
    (("translate y", 0.7, 9), ("autocontrast", 0.9, 1)),
)
"""The pairs of the policy. Levels of operations that have no magnitude are the paper's too."""


@dataclass(frozen=True)
class Operation:
    """``apply(picture, magnitude)`` with magnitudes from ``least`` at level 0 to ``most`` at level 9, or ``signed``
    their negative."""

    apply: Callable[[Picture, float], Picture]
    least: float = 0.0
    most: float = 0.0
    signed: bool = False

    def at(self, picture: Picture, level: float, negative: bool) -> Picture:
        """``picture`` after the operation at ``level``, a share of the highest."""
        magnitude = self.least + (self.most - self.least) * level
        return self.apply(picture, -magnitude if self.signed and negative else magnitude)


def _moved(picture: Picture, of_x: tuple[float, float, float], of_y: tuple[float, float, float]) -> Picture:
    """``picture``, whose pixel (x, y) comes from the linear functions ``of_x`` and ``of_y`` of (x, y, 1)."""
    from PIL.Image import Transform

    empty = (GREY,) * len(picture.getbands())
    return picture.transform(picture.size, Transform.AFFINE, (*of_x, *of_y), fillcolor=empty)


def _rotated(picture: Picture, degrees: float) -> Picture:
    return picture.rotate(degrees, fillcolor=(GREY,) * len(picture.getbands()))


def _enhanced(kind: str) -> Callable[[Picture, float], Picture]:
    """1 + magnitude is 0: nothing left of it, 1: the picture itself, more: more of it."""

    def enhance(picture: Picture, magnitude: float) -> Picture:
        from PIL import ImageEnhance

        changed: Picture = getattr(ImageEnhance, kind)(picture).enhance(1 + magnitude)
        return changed

    return enhance


def _plain(name: str) -> Callable[[Picture, float], Picture]:
    """The function ``name`` of Pillow's ImageOps, which takes no magnitude."""

    def change(picture: Picture, _magnitude: float) -> Picture:
        from PIL import ImageOps

        changed: Picture = getattr(ImageOps, name)(picture)
        return changed

    return change


def _posterized(picture: Picture, bits: float) -> Picture:
    from PIL import ImageOps

    return ImageOps.posterize(picture, round(bits))


def _solarized(picture: Picture, threshold: float) -> Picture:
    from PIL import ImageOps

    return ImageOps.solarize(picture, round(threshold))


OPERATIONS: Final[Mapping[str, Operation]] = {
    "shear x": Operation(lambda image, by: _moved(image, (1, by, 0), (0, 1, 0)), most=0.3, signed=True),
    "shear y": Operation(lambda image, by: _moved(image, (1, 0, 0), (by, 1, 0)), most=0.3, signed=True),
    "translate x": Operation(
        lambda image, by: _moved(image, (1, 0, by * image.width), (0, 1, 0)), most=TRANSLATION, signed=True
    ),
    "translate y": Operation(
        lambda image, by: _moved(image, (1, 0, 0), (0, 1, by * image.height)), most=TRANSLATION, signed=True
    ),
    "rotate": Operation(_rotated, most=30, signed=True),
    "color": Operation(_enhanced("Color"), most=0.9, signed=True),
    "contrast": Operation(_enhanced("Contrast"), most=0.9, signed=True),
    "brightness": Operation(_enhanced("Brightness"), most=0.9, signed=True),
    "sharpness": Operation(_enhanced("Sharpness"), most=0.9, signed=True),
    "posterize": Operation(_posterized, least=8, most=4),
    "solarize": Operation(_solarized, least=256, most=0),
    "autocontrast": Operation(_plain("autocontrast")),
    "equalize": Operation(_plain("equalize")),
    "invert": Operation(_plain("invert")),
}
"""The operations; lengths are shares of the side, angles degrees."""

RANDOM: Final = (None, *(name for name in OPERATIONS if name != "invert"))
"""The operations of RandAugment, the first of which is none."""


@dataclass(frozen=True, eq=False)
class Draws:
    """What is drawn for B pictures: two ``steps`` each, ``chances`` (B, 2) in [0, 1) that decide whether each of them
    is applied, and which of their magnitudes are ``negative`` (B, 2). Levels are out of ``levels``."""

    steps: tuple[tuple[Step, Step], ...]
    chances: NDArray[np.float64]
    negative: NDArray[np.bool_]
    levels: int = LEVELS

    def of(self, span: slice) -> Draws:
        """The draws for the pictures in ``span``."""
        return replace(self, steps=self.steps[span], chances=self.chances[span], negative=self.negative[span])


def draw_pairs(generator: np.random.Generator, count: int) -> Draws:
    """The Draws of AutoAugment for ``count`` pictures."""
    pairs = generator.integers(0, len(CIFAR10), count)
    steps = tuple(CIFAR10[pair] for pair in pairs)
    return Draws(steps, generator.random((count, 2)), generator.random((count, 2)) < 0.5)


def draw_any(generator: np.random.Generator, count: int, level: int) -> Draws:
    """The Draws of RandAugment at ``level`` for ``count`` pictures."""
    names = [[RANDOM[index] for index in pair] for pair in generator.integers(0, len(RANDOM), (count, 2))]
    steps = tuple(((first, 1.0, level), (second, 1.0, level)) for first, second in names)
    return Draws(steps, generator.random((count, 2)), generator.random((count, 2)) < 0.5, RANDOM_LEVELS)


def auto_augmented(pixels: NDArray[Any], draws: Draws, index: int, top: int = 255) -> NDArray[Any]:
    """``pixels`` (1 or 3, H, W) from 0 to ``top``, after the operations that ``draws`` has for picture ``index``."""
    from PIL import Image

    bands = np.rint(pixels * (255 / top)).astype(np.uint8)
    picture = Image.fromarray(bands[0] if len(bands) == 1 else np.ascontiguousarray(bands.transpose(1, 2, 0)))
    for place, (name, probability, level) in enumerate(draws.steps[index]):
        if name is not None and draws.chances[index, place] < probability:
            picture = OPERATIONS[name].at(picture, level / draws.levels, bool(draws.negative[index, place]))
    changed = np.asarray(picture)
    changed = changed[None] if changed.ndim == 2 else changed.transpose(2, 0, 1)
    return np.rint(changed * (top / 255)).astype(pixels.dtype)
