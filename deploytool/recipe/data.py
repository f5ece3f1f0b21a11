"""[data]: which samples, and how they come to the network."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from deploytool.recipe.section import Section, Size

Bins: TypeAlias = Literal["time", "count"]


class DataSection(Section):
    """[data]: which samples, how they become events, and how events are cleaned before anything sees them."""

    set: str = Field(description="name of a data set; `deploytool show --datasets` lists them")
    root: str | None = Field(None, description="folder of the data, for sets that are read from disk")
    coding: Literal["events", "count", "rate", "direct"] | None = Field(
        None, description="events, of event sets; of images count, the default, rate, or direct: only for training"
    )
    levels: int | None = Field(None, ge=1, le=4096, description="count, rate: events of a white pixel; 16 by default")
    duration_ms: float | None = Field(
        None,
        ge=0.001,
        le=1e6,
        description="the first so many ms; of images: how long their events take, 100 by default",
    )
    bins: Bins = Field("time", description="time steps of training: of equal time, or of equal counts of events")
    size: tuple[Size, Size] | None = Field(
        None, description="[H, W] that events or an image folder's images are scaled to"
    )
    denoise_ms: float | None = Field(
        None, gt=0, description="drop events with no event of a neighbouring pixel in the last so many ms"
    )
    validation: float = Field(0.1, gt=0, lt=0.5, description="share of training samples that choose the model")
    train_samples: int | None = Field(None, ge=1, description="only so many training samples, evenly over the classes")
    test_samples: int | None = Field(None, ge=1, description="only so many test samples, evenly over the classes")
