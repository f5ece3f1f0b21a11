"""Values on the page: their errors on every rung, figures of them, and the traces of single samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deploytool.ir.recording import Recording
from deploytool.ir.verdict import Difference, Rung, Verdict
from deploytool.ir.windows import OutputWindows
from deploytool.report.figures import values as figures
from deploytool.report.figures.curves import Chart
from deploytool.report.runs import on_ladder


@dataclass(frozen=True)
class ValuesSection:
    """What the page says of values in ``unit``: the ``nearest`` run to silicon, whose values are drawn, and figures.

    ``differences`` are those between the values of two runs.
    """

    unit: str
    nearest: str
    runs: tuple[Rung, ...]
    differences: tuple[Difference, ...]
    charts: tuple[Chart, ...]


def values_section(verdict: Verdict, runs: Mapping[str, Recording]) -> ValuesSection | None:
    """The section on values; None if no run reads any whose targets are known."""
    ran = [run for run in verdict.ran.values() if run.regression]
    read = {name: run for name, run in on_ladder(runs).items() if run.reads_values and run.windows}
    if not ran or not read:
        return None
    nearest, recording = list(read.items())[-1]
    unit = ran[0].regression.unit if ran[0].regression else ""
    charts = []
    if (windows := _known(recording)) is not None:
        names, targets, values = windows
        charts += [figures.scatter(name, unit, targets[:, d], values[:, d]) for d, name in enumerate(names)]
    if (by_window := figures.window_errors(ran, unit)) is not None:
        charts.append(by_window)
    compared = tuple(pair for pair in verdict.differences if pair.values)
    return ValuesSection(unit, nearest, tuple(ran), compared, tuple(charts))


def _known(recording: Recording) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64]] | None:
    """(names, targets (N, D), values (N, D)) of the windows whose targets are known; None if there are none."""
    windows = recording.windows
    if windows is None or windows.decoder is None or windows.decoded is None or not windows.targets.size:
        return None
    known = ~np.isnan(windows.targets).any(axis=1)
    targets = windows.targets[known].astype(np.float64)
    return (windows.decoder.values, targets, windows.decoded[known]) if known.any() else None


def sample_charts(runs: Mapping[str, Recording], index: int) -> tuple[Chart, ...]:
    """The values of sample ``index`` window by window, true and on the first and the last of ``runs``."""
    read = {name: run.windows for name, run in runs.items() if run.reads_values and run.windows is not None}
    shown = {name: read[name] for name in dict.fromkeys([*list(read)[:1], *list(read)[-1:]])}
    found = {name: values for name, windows in shown.items() if (values := _of(windows, index)) is not None}
    first = next(iter(shown.values()), None)
    if first is None or first.decoder is None or not found:
        return ()
    part, length = first.of(index), len(next(iter(found.values())))
    unknown = np.full((length, len(first.decoder.values)), np.nan)
    targets = first.targets[part].astype(np.float64) if first.targets.size else unknown
    return tuple(figures.traces(first.decoder.values, first.decoder.unit, targets, found))


def _of(windows: OutputWindows, index: int) -> NDArray[np.float64] | None:
    return None if windows.decoded is None or not windows.number[index] else windows.decoded[windows.of(index)]


def sample_errors(recording: Recording) -> NDArray[np.float64]:
    """(S,): the root mean square error of the values of each sample; 0 where no target is known."""
    windows = recording.windows
    found = np.zeros(len(recording))
    if windows is None or windows.decoded is None or not windows.targets.size:
        return found
    squares = np.nan_to_num(np.square(windows.decoded - windows.targets)).mean(axis=1)
    np.add.at(found, windows.samples, squares)
    return np.sqrt(found / np.maximum(windows.number, 1))


def sample_distances(reference: Recording, test: Recording) -> NDArray[np.float64]:
    """(S,): the root mean square difference between the values of two runs in each sample."""
    one, other = reference.windows, test.windows
    found = np.zeros(len(test))
    if one is None or other is None or one.decoded is None or other.decoded is None:
        return found
    np.add.at(found, one.samples, np.square(other.decoded - one.decoded).mean(axis=1))
    return np.sqrt(found / np.maximum(one.number, 1))
