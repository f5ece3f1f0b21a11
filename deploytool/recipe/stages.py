"""[map], [run], [validate] and [report]: the stages after training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from deploytool.base.errors import RecipeError
from deploytool.ir.program import SIMULATOR
from deploytool.ir.recording import RungName
from deploytool.recipe.section import ConflictError, Section


class DvsSection(Section):
    """[map.dvs]: what the chip does with the events of its own sensor before the network. Recorded events skip it."""

    origin: tuple[int, int] = Field(
        (0, 0), description="(y, x) of the first pixel of the crop. The input map gives its size."
    )
    crop: Literal["pooled", "sensor"] = Field(
        "pooled",
        description="Whether the origin and the crop count pixels after pooling, as the documentation says, or pixels "
        "of the sensor.",
    )
    mirror: tuple[Literal["x", "y", "diagonal"], ...] = Field((), description="Axes along which events are mirrored.")
    polarity: Literal["both", "on", "off"] = Field(
        "both", description="Polarity of the events that pass. For a network with one input feature, both are merged."
    )
    live: bool = Field(False, description="Feed the sensor's own events to the network.")


class ReadoutSection(Section):
    """[map.readout]: the chip's readout layer, which puts the class on the chip's pins."""

    threshold: int = Field(
        1,
        ge=0,
        le=65535,
        description="A class is given while its moving average, in spikes per cycle of the slow clock, is above this.",
    )
    average: Literal[1, 16, 32] = Field(1, description="Cycles of the slow clock in the moving average.")
    layout: Literal["16x1x1", "4x2x2", "2x4x2", "1x4x4"] = Field(
        "16x1x1",
        description="Features, rows and columns of the readout's neurons, which the output of the network must fit in. "
        "With `16x1x1` a class is a feature, at most 15.",
    )


CALIBRATION_SAMPLES: Final = 16


class MapSection(Section):
    """[map]: how the network is placed on the cores of its chip, which [constraints] names."""

    pins: dict[str, int] = Field(
        default_factory=dict, description="Fixed places: `{ conv1 = 0 }` puts layer conv1 on core 0."
    )
    split: bool = Field(True, description="Split layers over several cores if the network does not fit otherwise.")
    quantise: Literal["plain", "calibrated"] = Field(
        "plain",
        description="`plain`: the chip's own rule. `calibrated`: scale and rounding are chosen on training samples, "
        "where that is closer to the trained network.",
    )
    calibration_samples: int = Field(
        CALIBRATION_SAMPLES,
        ge=1,
        description="Training samples for the calibration search. Twice as many others decide whether to keep its "
        "result.",
    )
    slow_clock_hz: int | None = Field(
        None,
        ge=10,
        le=10_000,
        description="Frequency of the chip's slow clock in Hz. A network with biases needs it: every tick adds them.",
    )
    decimate: dict[str, int] = Field(
        default_factory=dict,
        description="Output decimators: with `{ conv1 = 4 }` only every fourth spike of conv1 leaves its core. "
        "2, 4, 8, ... 512.",
    )
    balance: dict[str, int] = Field(
        default_factory=dict,
        description="Congestion balancers: with `{ conv1 = 200_000_000 }` conv1 drops the events that arrive while its "
        "core is busy. The number is the speed of the core in SynOps per second that the emulator assumes.",
    )
    dvs: DvsSection = Field(DvsSection(), description="The chip's sensor layer.")
    readout: ReadoutSection | None = Field(
        None, description="The chip's readout layer. Off unless the section is given."
    )

    @model_validator(mode="before")
    @classmethod
    def _no_target(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or "target" not in values:
            return values
        target = values["target"]
        need = f"constraints.chip = {target!r}, which names the chip for training and mapping"
        if target == SIMULATOR:
            need = "run.on = ['simulator'], which runs the network without a chip"
        raise ConflictError([RecipeError("target", f"found {target!r}", need)])

    def conflicts(self) -> Iterator[RecipeError]:
        if self.quantise == "plain" and self.calibration_samples != CALIBRATION_SAMPLES:
            yield RecipeError(
                "calibration_samples",
                f"found {self.calibration_samples} with quantise plain",
                "quantise calibrated, or no calibration_samples",
                ways=({"quantise": "calibrated"},),
            )


class RunSection(Section):
    """[run]: the engines that run the program, in addition to the trained network itself."""

    on: tuple[Literal["quantised", "simulator", "emulator"], ...] = Field(
        ("quantised", "simulator", "emulator"),
        description="`quantised`: the chip's integers in time steps. `simulator`: float32, event by event. `emulator`: "
        "the chip's integers, core by core, event by event. With an empty list the network is only trained.",
    )
    rasters: int = Field(4, ge=0, description="Number of samples for which every spike is kept, for the report.")

    @property
    def on_chip(self) -> bool:
        """Whether any run needs the network mapped for its chip."""
        return any(rung != SIMULATOR for rung in self.on)


class ValidateSection(Section):
    """[validate]: the requirements for a positive verdict. An absent key checks nothing."""

    min_accuracy: float | None = Field(None, ge=0, le=100, description="Lowest accuracy on the emulator, in percent.")
    max_accuracy_drop: float | None = Field(
        None,
        ge=0,
        le=100,
        description="Largest loss of accuracy from the trained network to the emulator, in percentage points.",
    )
    max_rmse: float | None = Field(
        None, ge=0, description="Largest root mean square error of the values on the emulator, in their unit."
    )
    min_r2: float | None = Field(
        None, le=1, description="Lowest coefficient of determination, R2, on the emulator: the mean over the values."
    )
    max_rmse_rise: float | None = Field(
        None,
        ge=0,
        description="Largest rise of the root mean square error from the trained network to the emulator, in percent "
        "of the former.",
    )
    min_si_sdr_db: float | None = Field(
        None, description="Lowest mean SI-SDR of the separated voices of the trained network, in dB."
    )
    min_si_sdr_improvement_db: float | None = Field(
        None, description="Lowest mean SI-SDR of the separated voices above that of the mixtures, in dB."
    )
    max_spike_difference: float | None = Field(
        None,
        ge=0,
        description="Largest spike difference between the emulator and the float32 simulator: pooled over the output, "
        "in percent.",
    )
    max_mean_spike_difference: float | None = Field(
        None, ge=0, description="The same as the mean over samples, in percent."
    )
    max_layer_spike_difference: float | None = Field(
        None, ge=0, description="The same, pooled, for the layer in which it is largest, in percent."
    )
    min_agreement: float | None = Field(
        None,
        ge=0,
        le=100,
        description="Smallest share of samples with the same prediction on the emulator and in the trained network, in "
        "percent.",
    )
    max_synops: float | None = Field(
        None, gt=0, description="Largest mean number of synaptic operations per sample on the emulator."
    )
    max_core_synops_per_s: float | None = Field(
        None,
        gt=0,
        description="Largest number of synaptic operations per second of any core of the emulator, in the busiest "
        "millisecond of any sample.",
    )
    max_energy_uj: float | None = Field(
        None, gt=0, description="Largest estimated energy per sample on the emulator, in microjoules, on RAM + LOGIC."
    )
    max_decision_ms: float | None = Field(
        None,
        gt=0,
        description="Largest median time from the first input event to the decision on the emulator, in milliseconds.",
    )
    max_decision_p95_ms: float | None = Field(
        None, gt=0, description="Largest 95th percentile of that time, in milliseconds."
    )
    max_cores: int | None = Field(None, ge=1, description="Largest number of cores used on the emulator.")
    require: tuple[RungName, ...] = Field(
        (), description="Rungs that must run, such as `board`. A verdict without one of them is negative."
    )

    @property
    def stated(self) -> dict[str, Any]:
        """What is asked, as the request of a verdict states it: the first four limits always, the others if given."""
        always = ("min_accuracy", "max_accuracy_drop", "max_spike_difference", "max_synops")
        return {name: value for name, value in self.model_dump().items() if name in always or value not in (None, ())}


class ReportSection(Section):
    """[report]: the content of the report."""

    samples: int = Field(4, ge=0, description="Number of samples shown.")
