"""[train.augment]: random changes of the training samples in every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field

from deploytool.base.errors import RecipeError
from deploytool.recipe.section import ConflictError, Section

ALSO_IN_TRAIN: Final = ("shift", "drop")
"""Keys that may also be set in [train] itself."""


class AugmentSection(Section):
    """[train.augment]: random changes of the training samples, drawn again for every sample in every epoch.

    They are applied in the order below, bending to cropping together, and 0 (of `crop`, 1) turns one off. A share is
    the probability that a sample is changed. Shifting by up to n pixels is the same as padding by n pixels and cropping
    at random.
    """

    drop: float = Field(0.0, ge=0, lt=1, description="Drop a random share of the events, at most this share.")
    flip_time: float = Field(0.0, ge=0, le=1, description="Share of the samples that are reversed in time.")
    flip_polarity: float = Field(
        0.0, ge=0, le=1, description="Share of the samples whose ON and OFF events are swapped."
    )
    flip: float = Field(0.0, ge=0, le=1, description="Share of the samples that are mirrored left to right.")
    flip_vertical: float = Field(0.0, ge=0, le=1, description="Share of the samples that are turned upside down.")
    bend: float = Field(
        0.0,
        ge=0,
        description="Bend smoothly (elastic distortion): the spread, in pixels, of random moves at the points of a "
        "grid of 5 by 5, between which moves are interpolated.",
    )
    rotate: float = Field(0.0, ge=0, le=180, description="Rotate around the middle by up to this number of degrees.")
    scale: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Scale by a factor that differs from 1 by up to this, with the middle in its place.",
    )
    shear: float = Field(
        0.0, ge=0, le=1, description="Shear: move a row to the side by up to this share of its distance to the middle."
    )
    crop: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Cut out a random rectangle with at least this share of the area, between 3:4 and 4:3 in shape, "
        "and scale it to the whole map.",
    )
    shift: int = Field(0, ge=0, description="Shift by up to this number of pixels along both axes.")
    autoaugment: Literal["none", "cifar10"] = Field(
        "none",
        description="`cifar10`: one of 25 pairs of operations (AutoAugment, whose policy was found on CIFAR-10), which "
        "rotate, shear and move a picture, or change its contrast, colours and sharpness. For pictures with "
        '`data.coding = "direct"`.',
    )
    randaugment: int = Field(
        0,
        ge=0,
        le=10,
        description="Two of 14 operations on a picture at this level (RandAugment), which rotate, shear and move it, "
        'or change its contrast, colours and sharpness. For pictures with `data.coding = "direct"`.',
    )
    cutout: int = Field(
        0, ge=0, description="Remove the events in a square with this side, in pixels, at a random position."
    )
    erase: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the samples that lose a rectangle of 2 to 33 % of the area (random erasing): its events, "
        "or its pixels, which become random.",
    )


def gathered(train: Any) -> Any:
    """The values of [train] with its augmentations moved into [train.augment].

    Raises ConflictError for a key that is in both.
    """
    if not isinstance(train, Mapping) or not any(key in train for key in ALSO_IN_TRAIN):
        return train
    augment = train.get("augment", {})
    if isinstance(augment, AugmentSection):
        augment = augment.model_dump(exclude_unset=True)
    if not isinstance(augment, Mapping):
        return train
    for key in ALSO_IN_TRAIN:
        if key in train and key in augment:
            found = "set in both [train] and [train.augment]"
            raise ConflictError([RecipeError(key, found, "it in only one")])
    moved = {key: train[key] for key in ALSO_IN_TRAIN if key in train}
    return {**{key: value for key, value in train.items() if key not in moved}, "augment": {**augment, **moved}}
