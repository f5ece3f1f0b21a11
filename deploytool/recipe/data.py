"""[data]: the samples, and how they are fed to the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from deploytool.base.errors import RecipeError
from deploytool.ir.events import Bins
from deploytool.recipe.section import Offset, Section, Size

LATER_KEYS: Final = (
    "sensor",
    "split",
    "test_share",
    "window_ms",
    "stride_ms",
    "refractory_ms",
    "crop",
    "pool",
    "polarity",
    "rate_hz",
    "length",
    "mixtures",
)
"""Keys that recipes did not always have: a section states them only where they are not the default, so that the keys of
stored artifacts stay the same."""

SetName: TypeAlias = Literal[
    "digits",
    "nmnist",
    "digits-saccades",
    "nmnist-saccades",
    "dvsgesture",
    "cifar10dvs",
    "ncaltech101",
    "events",
    "digits-images",
    "mnist",
    "fashionmnist",
    "cifar10",
    "cifar100",
    "imagefolder",
    "speech",
    "voices",
]

SPEECH_SETS: Final = ("speech", "voices")
"""The sets of mixtures of voices."""


class DataSection(Section):
    """[data]: which samples, how they become events, and how events are cleaned before anything sees them."""

    set: SetName = Field(description="Name of a data set. `deploytool show --datasets` lists them.")
    root: str | None = Field(None, description="Folder of the data, for data sets that are read from disk.")
    download: bool = Field(
        False,
        exclude=True,
        description="Download the data set if it is not in `root`, or without a root in the folder `data`. Otherwise "
        "nothing is downloaded. As `--download` on the command line.",
    )
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
        "they become, 100 by default. Speech: length of a mixture, 4000 by default.",
    )
    bins: Bins = Field(
        "time",
        description="How a sample is divided into time steps, in training and in the clock-driven runs after it: equal "
        "time, or an equal number of events in each.",
    )
    sensor: tuple[Size, Size] | None = Field(
        None,
        description="The set `events`: [H, W] of the camera, where its files do not state it, or state another one.",
    )
    split: str | None = Field(
        None,
        description="The set `events`: how its recordings are split. `folders`: the folders train, test and, if there "
        "is one, validation. `names`: by a hash of their names. Or a file in the folder: a table such as `splits.csv` "
        "with the columns file and part, or a text that names the files for the test, one a line. By default "
        "splits.csv if it exists, or else the folders if they exist, or else the names.",
    )
    test_share: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="The set `events`: share of the recordings of each class for the test, if the split is by names; "
        "0.2 by default. Speech: share of the speakers, who speak in the test only.",
    )
    window_ms: float | None = Field(
        None,
        ge=0.001,
        le=1e6,
        description="The set `events`: cut every recording, or every span that its label file names, into windows of "
        "this length. A last one that is shorter is left out.",
    )
    stride_ms: float | None = Field(
        None,
        ge=0.001,
        le=1e6,
        description="From the start of a window to the start of the next; the length of a window by default.",
    )
    crop: tuple[Offset, ...] | None = Field(
        None, description="Event sets: only these pixels, [H, W] around the middle or [top, left, H, W]."
    )
    pool: int | None = Field(
        None, ge=2, le=64, description="Event sets: make one pixel of this many rows and columns, after the crop."
    )
    size: tuple[Size, Size] | None = Field(
        None, description="[H, W] to which events, or the images of an image folder, are scaled."
    )
    denoise_ms: float | None = Field(
        None,
        gt=0,
        description="Drop an event if none of the four neighbouring pixels had one in the milliseconds before it.",
    )
    refractory_ms: float | None = Field(
        None, gt=0, description="Drop an event if its pixel had another one in the milliseconds before it."
    )
    polarity: Literal["both", "merge"] = Field(
        "both", description="Event sets: ON and OFF events as two features, or `merge` them into one."
    )
    rate_hz: int | None = Field(
        None, ge=1000, le=48_000, description="Speech: samples per second, 8000 by default. Higher rates are resampled."
    )
    length: Literal["min", "max"] = Field(
        "min",
        description="Speech: a mixture is as long as the shorter utterance (`min`) or as the longer one (`max`).",
    )
    mixtures: str | None = Field(
        None,
        description="Speech: a list of mixtures, a line `PART FIRST DB SECOND DB` for each, instead of random ones. "
        "Training writes such a list into its model.",
    )
    validation: float = Field(
        0.1, gt=0, lt=0.5, description="Share of the training samples that is held out to choose the best epoch."
    )
    train_samples: int | None = Field(
        None,
        ge=1,
        description="Use only this number of training samples, spread evenly over the classes. Speech: number of "
        "mixtures, by default one for each utterance.",
    )
    test_samples: int | None = Field(
        None,
        ge=1,
        description="Use only this number of test samples, spread evenly over the classes. Speech: number of mixtures.",
    )

    @field_validator("crop")
    @classmethod
    def _of_two_or_four(cls, crop: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if crop is not None and (len(crop) not in (2, 4) or min(crop[-2:]) < 1):
            raise ValueError(f"found {list(crop)}; need [H, W] or [top, left, H, W], with H and W of at least 1")
        return crop

    def conflicts(self) -> Iterator[RecipeError]:
        if self.stride_ms is not None and self.window_ms is None:
            yield RecipeError("stride_ms", f"found {self.stride_ms:g} without window_ms", "both, or none")

    @model_serializer(mode="wrap")
    def _stated(self, serialise: SerializerFunctionWrapHandler) -> Mapping[str, Any]:
        """All keys, without those of `LATER_KEYS` that have their default."""
        return self.without_defaults(serialise(self), LATER_KEYS)
