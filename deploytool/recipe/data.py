"""[data]: the samples, and how they are fed to the network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from deploytool.ir.events import Bins
from deploytool.recipe.section import Section, Size


class DataSection(Section):
    """[data]: which samples, how they become events, and how events are cleaned before anything sees them."""

    set: str = Field(description="Name of a data set. `deploytool show --datasets` lists them.")
    root: str | None = Field(None, description="Folder of the data, for data sets that are read from disk.")
    coding: Literal["events", "count", "rate", "direct"] | None = Field(
        None,
        description="How samples are fed to the network. Event sets: `events`. Images: `count` (the default; a pixel "
        "sends events in proportion to its brightness), `rate` (the same on average, at random times), or `direct` "
        "(the image itself at every time step, for training only).",
    )
    levels: int | None = Field(
        None, ge=1, le=4096, description="Events of a white pixel with `count` or `rate` coding; 16 by default."
    )
    duration_ms: float | None = Field(
        None,
        ge=0.001,
        le=1e6,
        description="Event sets: use only the first milliseconds of each sample. Images: length of the sample that "
        "they become, 100 by default.",
    )
    bins: Bins = Field(
        "time",
        description="How a sample is divided into time steps, in training and in the clock-driven runs after it: equal "
        "time, or an equal number of events in each.",
    )
    size: tuple[Size, Size] | None = Field(
        None, description="[H, W] to which events, or the images of an image folder, are scaled."
    )
    denoise_ms: float | None = Field(
        None,
        gt=0,
        description="Drop an event if none of the four neighbouring pixels had one in the milliseconds before it.",
    )
    validation: float = Field(
        0.1, gt=0, lt=0.5, description="Share of the training samples that is held out to choose the best epoch."
    )
    train_samples: int | None = Field(
        None, ge=1, description="Use only this number of training samples, spread evenly over the classes."
    )
    test_samples: int | None = Field(
        None, ge=1, description="Use only this number of test samples, spread evenly over the classes."
    )
