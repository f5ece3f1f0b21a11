"""The command check, and its options."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploytool.base.errors import UsageError
from deploytool.cli.by_layer import parse_pins
from deploytool.cli.command import command
from deploytool.cli.options import (
    DataFolderOption,
    DownloadOption,
    GitHubSummaryOption,
    PinOption,
    RecipeOrSourceArgument,
    SamplesOption,
    SlowClockOption,
    SplitOption,
    StatementOptions,
)
from deploytool.cli.samples import ShapingOptions

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation


@dataclass(frozen=True)
class FitOptions:
    """The chip that a network must fit, and how it may be placed."""

    chip: Annotated[
        str | None,
        typer.Option(help="speck2e, speck2f or dynapcnn; by default the chip it was trained for, or speck2e."),
    ] = None
    pin: PinOption = None
    split: SplitOption = True
    slow_clock: SlowClockOption = None


@dataclass(frozen=True)
class RateOptions:
    """The rate of input events at which energy and load are expected."""

    rate: Annotated[
        float | None,
        typer.Option(min=0, metavar="EVENTS_PER_S", help="Also say the energy and load at this rate of input events."),
    ] = None
    data: Annotated[
        str | None, typer.Option(help="Also say them at the rate of a data set, an event file, or a folder of them.")
    ] = None
    root: DataFolderOption = None
    download: DownloadOption = False
    samples: SamplesOption = None


@dataclass(frozen=True)
class ApplyOptions:
    """Which suggestion is applied, and where the result goes."""

    apply: Annotated[
        int | None, typer.Option(metavar="N", help="Apply suggestion N and write the network to --output.")
    ] = None
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The file for --apply: .nir, or .toml for a recipe."),
    ] = None

    @property
    def chosen(self) -> tuple[int, Path] | None:
        """(number, file), if a suggestion is to be applied. Raises UsageError if only one of the two is given."""
        if self.apply is None and self.output is None:
            return None
        if self.output is None:
            raise UsageError(f"--apply {self.apply}", "no file for the network", "--output FILE")
        if self.apply is None:
            raise UsageError(f"--output {self.output}", "given without --apply", "--apply N --output FILE")
        return self.apply, self.output


@command("deploytool check net.nir --chip speck2e")
def check(
    invocation: Invocation,
    stated: StatementOptions,
    fit: FitOptions,
    at: RateOptions,
    shaping: ShapingOptions,
    suggested: ApplyOptions,
    source: RecipeOrSourceArgument = None,
    rules: Annotated[bool, typer.Option("--rules", help="Print every rule of the chip.")] = False,
    github_summary: GitHubSummaryOption = False,
) -> int:
    """Check whether a network fits the chip; list the obstacles, remedies, and what later commands would refuse."""
    from deploytool.base.errors import UsageError
    from deploytool.data.formats.reading import AS_IT_IS
    from deploytool.recipe import MapSection
    from deploytool.workflow import check as checking
    from deploytool.workflow.apply import apply_suggestion
    from deploytool.workflow.ci_files import ci_files
    from deploytool.workflow.sources.samples import chosen as chosen_samples

    store, chosen = invocation.cache.store, suggested.chosen
    if rules or source is None:
        no_options = (FitOptions(fit.chip), StatementOptions(), RateOptions())
        if source is not None or chosen or (fit, stated, at) != no_options:
            raise UsageError("--rules", "given with a network or its options", "no option but --chip")
        invocation.show({"rules": checking.rules(fit.chip)})
        return 0
    spec = MapSection(pins=parse_pins(fit.pin), split=fit.split, slow_clock_hz=fit.slow_clock)
    keys = {"root": at.root, "test_samples": at.samples} | shaping.keys
    if at.data is None and any(value is not None for value in keys.values()):
        raise UsageError("--root, --samples, --crop and others", "given without --data", "--data")
    say = invocation.cache.messages.say
    invocation.obtain(at)
    read = None if at.data is None else chosen_samples(at.data, keys, AS_IT_IS, say)
    told, statements = ci_files(None, github_summary), stated.options
    applied = None if chosen is None else apply_suggestion(store, source, chosen, fit.chip, spec, statements)
    found = checking.check(store, source, fit.chip, spec, statements) if applied is None else applied.checked
    checked = checking.at_rate(found, at.rate, read)
    told.tell_fit(source, checked.as_json())
    return invocation.show_fit(checked if applied is None else replace(applied, checked=checked))
