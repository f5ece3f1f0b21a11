"""[map], [run], [validate] and [report]: what becomes of the trained network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from deploytool.recipe.section import Section


class DvsSection(Section):
    """[map.dvs]: what the chip does with the events of its own sensor before the network; recorded events skip it."""

    origin: tuple[int, int] = Field(
        (0, 0), description="(y, x) of the crop's first pixel; the input map gives its size"
    )
    crop: Literal["pooled", "sensor"] = Field(
        "pooled", description="whether origin and crop count pixels after pooling (documentation) or of the sensor"
    )
    mirror: tuple[Literal["x", "y", "diagonal"], ...] = ()
    polarity: Literal["both", "on", "off"] = Field("both", description="which events pass; one input feature merges")
    live: bool = Field(False, description="let the sensor's own events in")


class ReadoutSection(Section):
    """[map.readout]: the chip's readout layer, which gives the class at its pins."""

    threshold: int = Field(1, ge=0, le=65535, description="spikes that a class needs")
    average: Literal[1, 16, 32] = Field(1, description="cycles of the slow clock in the moving average")


class MapSection(Section):
    """[map]: where the network goes."""

    target: str = Field("speck2e", description="a chip, or simulator")
    pins: dict[str, int] = Field(default_factory=dict, description="layer = core")
    split: bool = Field(True, description="split layers over several cores where the network fits only so")
    quantise: Literal["plain", "calibrated"] = Field(
        "plain", description="by the chip's rule, or with scale and rounding chosen on training samples"
    )
    calibration_samples: int = Field(16, ge=1, description="samples searched on; twice as many others decide")
    dvs: DvsSection = DvsSection()
    readout: ReadoutSection | None = Field(None, description="absent: the readout layer is off")


class RunSection(Section):
    """[run]: on what the program runs, beside the trained network itself."""

    on: tuple[Literal["quantised", "simulator", "emulator"], ...] = ("quantised", "simulator", "emulator")
    rasters: int = Field(4, ge=0, description="samples of which every single spike is kept for the report")


class ValidateSection(Section):
    """[validate]: what must hold for a positive verdict; a key that is absent asks nothing."""

    min_accuracy: float | None = Field(None, ge=0, le=100, description="% right on the emulator")
    max_accuracy_drop: float | None = Field(None, ge=0, le=100, description="points from torch to the emulator")
    max_spike_difference: float | None = Field(
        None, ge=0, description="% pooled at the output, emulator against the float event-driven simulator"
    )
    max_synops: float | None = Field(None, gt=0, description="mean synaptic operations per sample on the emulator")


class ReportSection(Section):
    """[report]: what report.html shows."""

    samples: int = Field(4, ge=0, description="samples shown as pictures")
