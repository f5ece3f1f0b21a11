"""[data]: which samples, and how they come to the network."""

from __future__ import annotations

from pydantic import Field

from deploytool.recipe.section import Section


class DataSection(Section):
    """[data]: which events, and how they are cleaned before anything sees them."""

    set: str = Field(description="name of a data set; `deploytool show datasets` lists them")
    root: str | None = Field(None, description="folder of the data, for sets that are read from disk")
    denoise_ms: float | None = Field(
        None, gt=0, description="drop events with no event of a neighbouring pixel in the last so many ms"
    )
    validation: float = Field(0.1, gt=0, lt=0.5, description="share of training samples that choose the model")
    train_samples: int | None = Field(None, ge=1, description="only so many training samples, evenly over the classes")
    test_samples: int | None = Field(None, ge=1, description="only so many test samples, evenly over the classes")
