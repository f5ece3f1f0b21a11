"""The command validate, and its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from deploytool.cli.command import command
from deploytool.cli.options import ContinuousOptions

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation


@dataclass(frozen=True)
class LimitOptions:
    """Requirements for a positive verdict: the keys of [validate]."""

    min_accuracy: Annotated[float | None, typer.Option(min=0, max=100, help="% correct on the emulator.")] = None
    max_accuracy_drop: Annotated[
        float | None, typer.Option(min=0, max=100, help="Percentage points lost from torch to the emulator.")
    ] = None
    max_rmse: Annotated[
        float | None, typer.Option(min=0, help="Root mean square error of values on the emulator, in their unit.")
    ] = None
    min_r2: Annotated[float | None, typer.Option(max=1, help="R2 of values on the emulator, mean over values.")] = None
    max_rmse_rise: Annotated[
        float | None, typer.Option(min=0, help="% by which that error rises from torch to the emulator.")
    ] = None
    min_si_sdr_db: Annotated[
        float | None, typer.Option(help="Mean SI-SDR of the separated voices of the trained network, in dB.")
    ] = None
    min_si_sdr_improvement_db: Annotated[
        float | None, typer.Option(help="Mean SI-SDR of the separated voices above that of the mixtures, in dB.")
    ] = None
    max_spike_difference: Annotated[float | None, typer.Option(min=0, help="% pooled at the output.")] = None
    max_mean_spike_difference: Annotated[
        float | None, typer.Option(min=0, help="% at the output, mean over samples.")
    ] = None
    max_layer_spike_difference: Annotated[
        float | None, typer.Option(min=0, help="% pooled in the layer where it is largest.")
    ] = None
    min_agreement: Annotated[
        float | None, typer.Option(min=0, max=100, help="% of samples with the same prediction.")
    ] = None
    max_synops: Annotated[float | None, typer.Option(min=0, help="Synaptic updates per sample.")] = None
    max_core_synops_per_s: Annotated[
        float | None, typer.Option(min=0, help="Synaptic updates per second of any core in its busiest ms.")
    ] = None
    max_energy_uj: Annotated[float | None, typer.Option(min=0, help="Estimated microjoules per sample.")] = None
    max_decision_ms: Annotated[
        float | None, typer.Option(min=0, help="Milliseconds to the decision, median of the samples.")
    ] = None
    max_decision_p95_ms: Annotated[
        float | None, typer.Option(min=0, help="Milliseconds to the decision, 95th percentile of the samples.")
    ] = None
    max_cores: Annotated[int | None, typer.Option(min=1, help="Cores used.")] = None
    require: Annotated[
        list[str] | None, typer.Option(metavar="RUNG", help="A rung that must run, such as board. Repeatable.")
    ] = None

    @property
    def given(self) -> dict[str, object]:
        """The options that were given."""
        return {name: value for name, value in vars(self).items() if value is not None}


@command("deploytool validate recording-1a2b --against recording-3c4d --max-spike-difference 5")
def validate(
    invocation: Invocation,
    recording: Annotated[list[str], typer.Argument(metavar="RECORDING...", help="Recordings of the same samples.")],
    limits: LimitOptions,
    ci: ContinuousOptions,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="RECORDING|FILE",
            help="Compare all with this recording, or file of spikes or counts, and apply limits to every run or pair; "
            "by default, the ladder's.",
        ),
    ] = None,
) -> int:
    """Measure the differences between recordings and give a verdict."""
    from deploytool.recipe import ValidateSection, asked
    from deploytool.workflow import validate as validation
    from deploytool.workflow.ci_files import ci_files

    told, asked_limits = ci_files(**vars(ci)), asked(ValidateSection, **limits.given)
    return invocation.show_verdict(validation.validate(invocation.cache, recording, asked_limits, against), told)
