"""The command map, and its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from deploytool.cli.by_layer import parse_balancers, parse_decimators, parse_pins
from deploytool.cli.command import command
from deploytool.cli.options import (
    DataFolderOption,
    DownloadOption,
    PinOption,
    SlowClockOption,
    SourceArgument,
    SplitOption,
    StatementOptions,
)
from deploytool.cli.samples import ShapingOptions

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation


@dataclass(frozen=True)
class PlacementOptions:
    """Where a network goes."""

    target: Annotated[
        str | None,
        typer.Option(
            help="speck2e, speck2f, dynapcnn or simulator; by default the chip it was trained for, or speck2e."
        ),
    ] = None
    pin: PinOption = None
    split: SplitOption = True
    slow_clock: SlowClockOption = None
    decimate: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYER=N", help="Let one in N spikes of a layer leave its core. Repeatable."),
    ] = None
    balance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYER[=SYNOPS_PER_S]",
            help="Drop events that reach a layer while its core is busy, by default at 200e6 SynOps/s. Repeatable.",
        ),
    ] = None


@dataclass(frozen=True)
class WidthOptions:
    """The width of the weights on the chip."""

    weight_bits: Annotated[
        int | None,
        typer.Option(min=2, max=8, help="Bits of a weight; by default those of the training, or the chip's 8."),
    ] = None
    requantise: Annotated[
        bool, typer.Option("--requantise", help="Requantise trained weights to the width of --weight-bits.")
    ] = False


@dataclass(frozen=True)
class CalibrationOptions:
    """How scale and rounding are chosen, and on which samples."""

    quantise: Annotated[
        str, typer.Option(metavar="plain|calibrated", help="calibrated: scale and rounding chosen on --data.")
    ] = "plain"
    data: Annotated[str | None, typer.Option(help="Calibrate on the training part of a data set.")] = None
    root: DataFolderOption = None
    download: DownloadOption = False
    calibration_samples: Annotated[
        int | None,
        typer.Option(min=1, help="Samples for the search; twice as many others decide on the result. By default 16."),
    ] = None


@command("deploytool map graph@latest --target speck2e --pin conv1=0")
def map(  # noqa: A001
    invocation: Invocation,
    source: SourceArgument,
    stated: StatementOptions,
    placement: PlacementOptions,
    width: WidthOptions,
    calibration: CalibrationOptions,
    shaping: ShapingOptions,
) -> None:
    """Quantise a network, place it on cores, and write the chip's configuration."""
    from deploytool.recipe import MapSection
    from deploytool.workflow import convert as conversion
    from deploytool.workflow import map as mapping
    from deploytool.workflow.sources.samples import asked_calibration

    count = calibration.calibration_samples
    invocation.obtain(calibration)
    chosen_on = asked_calibration(calibration.quantise, calibration.data, calibration.root, count, shaping.keys)
    spec = MapSection(
        pins=parse_pins(placement.pin),
        split=placement.split,
        slow_clock_hz=placement.slow_clock,
        decimate=parse_decimators(placement.decimate),
        balance=parse_balancers(placement.balance),
    )
    if chosen_on is not None:
        changed = {"quantise": "calibrated", "calibration_samples": count or spec.calibration_samples}
        spec = spec.model_copy(update=changed)
    asked = mapping.Width(width.weight_bits, width.requantise)
    graph = conversion.convert(invocation.cache, source, stated.options)
    invocation.show_artifact(mapping.map_graph(invocation.cache, graph, placement.target, spec, asked, chosen_on))
