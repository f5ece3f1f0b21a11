"""The command sweep: its options, and what they say as values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from deploytool.base.errors import UsageError
from deploytool.base.files import require_writable
from deploytool.cli.command import command
from deploytool.cli.options import (
    DataFolderOption,
    DenoiseOption,
    DownloadOption,
    ReadingOptions,
    SamplesOption,
    StatementOptions,
)
from deploytool.cli.samples import ShapingOptions

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation
    from deploytool.ir.sweep import QuantityName
    from deploytool.workflow.sweep import Asked

ELLIPSIS: Final = "..."
SERIES_MAX: Final = 1000
"""The largest number of values that an ellipsis stands for."""
_PERTURBATION: Final = re.compile(r"(order|drop|threshold|weights)=(.*)")


@dataclass(frozen=True)
class VariedOptions:
    """What a sweep varies: one of these, and early exits."""

    time_steps: Annotated[str | None, typer.Option(metavar="1,2,4,...,64", help="Time steps of clock-driven runs.")] = (
        None
    )
    events: Annotated[
        str | None, typer.Option(metavar="100,200,...", help="End every sample after this number of events.")
    ] = None
    until_ms: Annotated[
        str | None, typer.Option("--until-ms", metavar="5,10,...", help="End every sample after this time.")
    ] = None
    bits: Annotated[str | None, typer.Option(metavar="2,3,4,8", help="Bits of a weight on the chip.")] = None
    perturb: Annotated[
        str | None,
        typer.Option(
            metavar="weights=0,1%,2%", help="Strength of a perturbation: order (us), drop, threshold or weights (%)."
        ),
    ] = None
    early_exit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="margin|entropy|spikes[=LIST]",
            help="End every sample once the output is sure of its class, at several thresholds. Repeatable.",
        ),
    ] = None


@dataclass(frozen=True)
class SweepOptions:
    """How the points of a sweep are made."""

    on: Annotated[
        str | None,
        typer.Option(
            help="torch or quantised in time steps, otherwise emulator or simulator; by default torch for a trained "
            "model, the chip's integers for others."
        ),
    ] = None
    against: Annotated[
        str | None,
        typer.Option(
            metavar="simulator|emulator|none",
            help="The event-driven run that spike differences are from; by default the one in the same arithmetic.",
        ),
    ] = None
    target: Annotated[
        str | None, typer.Option(help="The chip; by default the one the network was trained for, or speck2e.")
    ] = None
    requantise: Annotated[
        bool, typer.Option("--requantise", help="Requantise trained weights to the widths of --bits.")
    ] = False
    repeats: Annotated[int | None, typer.Option(min=1, help="Draws of each perturbation; by default 5.")] = None
    seed: Annotated[int, typer.Option(min=0, help="Seed of the perturbations.")] = 0
    outputs_only: Annotated[
        bool,
        typer.Option("--outputs-only", help="Keep the spikes of the output alone: less to store, but no SynOps."),
    ] = False


@dataclass(frozen=True)
class SweepSampleOptions:
    """The samples of a sweep."""

    data: Annotated[
        str | None,
        typer.Option(
            help="A data set's name, an event file, or a folder of event files; by default the test samples of the "
            "training."
        ),
    ] = None
    root: DataFolderOption = None
    download: DownloadOption = False
    denoise_ms: DenoiseOption = None
    samples: SamplesOption = None


@dataclass(frozen=True)
class CurveOptions:
    """Where the curves are written."""

    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write all points as a table.")] = None
    figure: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Draw the curves: .svg, .pdf or .png. Repeatable.")
    ] = None


@command("deploytool sweep model@latest --time-steps 1,2,4,...,64 --figure curves.svg")
def sweep(
    invocation: Invocation,
    networks: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            help="Trained models, graphs, programs, files of networks, or recipes whose model is in the store. "
            "LABEL=MODEL names one in legends.",
        ),
    ],
    varied: VariedOptions,
    samples: SweepSampleOptions,
    files: ReadingOptions,
    shaping: ShapingOptions,
    how: SweepOptions,
    stated: StatementOptions,
    output: CurveOptions,
) -> None:
    """Vary one thing (time steps, length of the input, bits of weights, a perturbation) and draw what it changes."""
    from deploytool.data.formats.reading import Reading
    from deploytool.workflow import sweep as sweeping
    from deploytool.workflow.sources import samples as sample_sources
    from deploytool.workflow.sources.networks import ImportOptions

    wanted, figures = asked(varied, how), output.figure or []
    check_files(output.csv, figures)
    source = None
    if samples.data is not None:
        invocation.obtain(samples)
        keys = {"root": samples.root, "denoise_ms": samples.denoise_ms, "test_samples": samples.samples}
        reading = Reading(**vars(files))
        source = sample_sources.chosen(samples.data, keys | shaping.keys, reading, invocation.cache.messages.say)
    elif given := [name for each in (samples, files, shaping) for name, value in vars(each).items() if value]:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(options, "given without --data", "--data")
    made = sweeping.sweep(invocation.cache, networks, wanted, source, ImportOptions(**vars(stated)))
    sweeping.write(made, output.csv, figures)
    invocation.show_sweep(made)


def asked(varied: VariedOptions, how: SweepOptions) -> Asked:
    """What the options ask for. Raises UsageError with every mistake."""
    from deploytool.validate.early_exit import POLICIES
    from deploytool.workflow.sweep import Asked

    given = list(_quantities(varied))
    if len(given) > 1:
        options = ", ".join(option for option, _, _ in given)
        raise UsageError(options, "given together", "one of them, because a sweep varies one quantity")
    exits: dict[Any, tuple[float, ...]] = {}
    for text in varied.early_exit or ():
        policy, equals, thresholds = text.partition("=")
        if policy not in POLICIES or policy in exits:
            found = "found twice" if policy in exits else "no such policy"
            raise UsageError(f"--early-exit {text}", found, f"{', '.join(POLICIES)}, each at most once")
        known = POLICIES[cast("Any", policy)].thresholds
        exits[policy] = numbers(f"--early-exit {text}", thresholds) if equals else known
    quantity, values = (given[0][1], given[0][2]) if given else (None, ())
    return Asked(quantity, values, exits, **vars(how))


def _quantities(varied: VariedOptions) -> Iterator[tuple[str, QuantityName, tuple[float, ...]]]:
    """(option, quantity, values) of each option that was given."""
    if varied.time_steps is not None:
        yield "--time-steps", "time_steps", numbers(f"--time-steps {varied.time_steps}", varied.time_steps)
    if varied.events is not None:
        yield "--events", "events", numbers(f"--events {varied.events}", varied.events)
    if varied.until_ms is not None:
        yield "--until-ms", "until_ms", numbers(f"--until-ms {varied.until_ms}", varied.until_ms)
    if varied.bits is not None:
        yield "--bits", "bits", numbers(f"--bits {varied.bits}", varied.bits)
    if varied.perturb is not None:
        match = _PERTURBATION.fullmatch(varied.perturb.strip())
        if match is None:
            need = "one of order, drop, threshold and weights with its strengths, such as weights=0,1%,2%"
            raise UsageError(f"--perturb {varied.perturb}", "not of this form", need)
        unit = "us" if match[1] == "order" else "%"
        yield "--perturb", cast("QuantityName", match[1]), numbers(f"--perturb {varied.perturb}", match[2], unit)


def numbers(where: str, text: str, unit: str = "") -> tuple[int | float, ...]:
    """The numbers in ``text``, separated by commas, each with ``unit`` or without; ``where`` is for errors.

    ``a,b,c,...,z`` goes on as a, b and c begin, with equal steps or equal factors. Raises UsageError for other texts.
    """
    parts = [part.strip() for part in text.split(",")]
    if ELLIPSIS not in parts:
        return tuple(_number(where, part, unit) for part in parts)
    at = parts.index(ELLIPSIS)
    first = [_number(where, part, unit) for part in parts[:at]]
    last = [_number(where, part, unit) for part in parts[at + 1 :]]
    if len(first) < 3 or len(last) != 1 or (series := _series(first, last[0])) is None:
        need = "three numbers with equal steps or factors before it, and after it a number that they reach"
        raise UsageError(where, "the series is not clear", f"{need}, such as 1,2,4,...,64")
    return series


def _series(first: list[int | float], last: int | float) -> tuple[int | float, ...] | None:
    """``first``, which has at least three numbers, continued up to ``last``; None if it does not lead there."""
    exact = [Fraction(str(number)) for number in first]
    a, b, c = exact[-3:]
    steps, factors = b - a == c - b > 0, a > 0 and b > a and a * c == b * b
    while (steps or factors) and exact[-1] < last and len(exact) < SERIES_MAX:
        exact.append(exact[-1] + (b - a) if steps else exact[-1] * b / a)
    if exact[-1] != Fraction(str(last)):
        return None
    return tuple(int(number) if number.denominator == 1 else float(number) for number in exact)


def _number(where: str, part: str, unit: str) -> int | float:
    plain = part.removesuffix(unit).strip()
    if re.fullmatch(r"[0-9]{1,15}", plain):
        return int(plain)
    if re.fullmatch(r"[0-9]{0,15}\.?[0-9]{1,15}([eE][+-]?[0-9]{1,2})?", plain):
        return float(plain)
    need = "numbers, separated by commas" + (f", with or without {unit}" if unit else "")
    raise UsageError(where, f"found {part!r}", need)


FIGURES: Final = (".svg", ".pdf", ".png")


def check_files(csv: Path | None, figures: list[Path]) -> None:
    """Raises UsageError or ArtifactError for a file that could not be written, before anything runs."""
    for path in figures:
        if path.suffix not in FIGURES:
            raise UsageError(f"--figure {path}", f"found {path.suffix or 'no suffix'!r}", ", ".join(FIGURES))
    for path in [*figures, *([csv] if csv else [])]:
        if not path.parent.is_dir() or path.is_dir():
            found = "a folder" if path.is_dir() else f"there is no folder {path.parent}"
            raise UsageError(str(path), found, "the name of a file in a folder that exists")
        require_writable(path)
