"""The options that say which samples a command takes, and how recordings are cropped, pooled, scaled and cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from deploytool.base.errors import UsageError
from deploytool.cli.options import DataFolderOption, DenoiseOption, DownloadOption, SamplesOption


@dataclass(frozen=True)
class SampleOptions:
    """The samples that a program runs over."""

    data: Annotated[str, typer.Option(help="A data set's name, an event file, or a folder of event files.")]
    root: DataFolderOption = None
    download: DownloadOption = False
    denoise_ms: DenoiseOption = None
    samples: SamplesOption = None

    @property
    def keys(self) -> dict[str, Any]:
        """The keys of [data], None for those that were not given."""
        return {"root": self.root, "denoise_ms": self.denoise_ms, "test_samples": self.samples}


@dataclass(frozen=True)
class ShapingOptions:
    """How recordings are cropped, pooled, scaled and cut into samples: keys of [data]."""

    sensor: Annotated[
        str | None, typer.Option(metavar="H,W", help="The camera's size, if files do not state it, or wrongly.")
    ] = None
    crop: Annotated[
        str | None,
        typer.Option(metavar="[T,L,]H,W", help="Only these pixels: around the middle, or from row T, column L on."),
    ] = None
    pool: Annotated[int | None, typer.Option(min=2, help="Make one pixel of this many rows and columns.")] = None
    resize: Annotated[
        str | None, typer.Option("--resize", "--size", metavar="H,W", help="Scale events to a map of this size.")
    ] = None
    window_ms: Annotated[
        float | None, typer.Option("--window-ms", help="Cut recordings into windows of this length.")
    ] = None
    stride_ms: Annotated[
        float | None, typer.Option("--stride-ms", help="From window to window; by default the length of one.")
    ] = None

    @property
    def keys(self) -> dict[str, Any]:
        """The keys of [data], None for those that were not given. Raises UsageError for a size that is none."""
        return {
            "sensor": parse_sides("--sensor", self.sensor, (2,)),
            "crop": parse_sides("--crop", self.crop, (2, 4)),
            "pool": self.pool,
            "size": parse_sides("--resize", self.resize, (2,)),
            "window_ms": self.window_ms,
            "stride_ms": self.stride_ms,
        }


def parse_sides(option: str, text: str | None, counts: tuple[int, ...]) -> tuple[int, ...] | None:
    """The whole numbers in ``text``, as many as one of ``counts``. Raises UsageError for any other text."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in counts or not all(part.isascii() and part.isdecimal() for part in parts):
        need = " or ".join(f"{count} whole numbers" for count in counts)
        raise UsageError(option, f"found {text!r}", f"{need}, for example {','.join(['34'] * counts[0])}")
    return tuple(map(int, parts))
