"""What came out of a run: every spike counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from deploytool.api.events import source_in
from deploytool.api.model import Model
from deploytool.api.program import Program, program_in
from deploytool.api.program import compile as compile_network
from deploytool.api.result import Result, counted, frame
from deploytool.api.words import speaks_python
from deploytool.base.numbers import figure
from deploytool.ir.program import SIMULATOR
from deploytool.ir.recording import Recording as Recorded
from deploytool.ir.target import Watch
from deploytool.workflow.sources.recordings import load
from deploytool.workflow.sources.samples import SampleSource
from deploytool.workflow.stored.scores import result

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray

    from deploytool.base.arrays import Array
    from deploytool.ir.counts import Maps
    from deploytool.ir.events import Bins
    from deploytool.ir.verdict import Regression, Separation
    from deploytool.ir.windows import OutputWindows
    from deploytool.run.jobs.job import Job


@dataclass(frozen=True, eq=False, repr=False)
class Recording(Result):
    """The result of a run; ``value`` is the `deploytool.ir.recording.Recording`.

    ``samples`` are those that ran, as far as this process knows them.
    """

    samples: SampleSource | None = None

    @cached_property
    def value(self) -> Recorded:
        """The recording, whose counts are read from its file piece by piece."""
        return load(self.cache.store, self.artifact)

    @property
    def counts(self) -> Mapping[str, Maps]:
        """{layer: (S, C, H, W) int64}: spikes of every neuron, before pooling."""
        return self.value.counts

    @property
    def spikes(self) -> Mapping[str, Array]:
        """{layer or "input": (N,)} with the fields sample, t (us), c, y, x: the single spikes that the run kept."""
        return self.value.spikes

    @property
    def predictions(self) -> NDArray[Any]:
        """(S,): the class with most output spikes; -1 without a spike, or if the output is values."""
        return self.value.predictions

    @property
    def labels(self) -> NDArray[Any]:
        """(S,): the classes of the samples; -1 if not known."""
        return self.value.labels

    @property
    def accuracy(self) -> float | None:
        """The share of labelled samples that are classified correctly, in %; None without labels."""
        from deploytool.validate.metrics import accuracy

        return accuracy(self.value)

    @property
    def windows(self) -> OutputWindows | None:
        """The output window by window, with targets and ``decoded`` values; None if the output is classes."""
        return self.value.windows

    @property
    def errors(self) -> Regression | None:
        """The errors of the values that it reads, ``rmse``, ``mae`` and ``r2``, also by value and by window."""
        from deploytool.validate.regression import regression

        return regression(self.value)

    @property
    def separation(self) -> Separation | None:
        """How well voices are separated, by each of the ``networks``; None if it separates none."""
        from deploytool.validate.speech import separation

        return separation(self.value)

    def rows(self) -> list[dict[str, Any]]:
        """One row per sample: its name, its label, the class that the network gives, and its synaptic updates.

        If the output is values, one row per window: the sample, the number of the window, the values and their targets.
        """
        if self.value.reads_values:
            return self._windows()
        value = self.value
        known = len(value.synops) == len(value)
        return [
            {
                "sample": name,
                "label": _known(int(value.labels[index])),
                "prediction": _known(int(value.predictions[index])),
                "synops": int(value.synops[index]) if known else None,
            }
            for index, name in enumerate(value.samples)
        ]

    def _windows(self) -> list[dict[str, Any]]:
        found = self.value.windows
        assert found is not None
        assert found.decoder is not None
        columns: dict[str, Sequence[Any]] = {
            "sample": [self.value.samples[index] for index in found.samples],
            "window": found.places.tolist(),
        }
        for number, name in enumerate(found.decoder.values):
            if found.decoded is not None:
                columns[name] = found.decoded[:, number].tolist()
            if found.targets.size:
                columns[f"target {name}"] = found.targets[:, number].tolist()
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def layers(self) -> list[dict[str, Any]]:
        """One row per layer: its shape, and its spikes and synaptic updates per sample."""
        rows: list[dict[str, Any]] = self.describe()["layers"]
        return rows

    def to_dataframe(self) -> pandas.DataFrame:
        """`rows` as a table of pandas."""
        return frame(self.rows())

    def _repr_html_(self) -> str:
        from deploytool.report.views.spikes import recording_view

        keys = ("spikes_per_sample", "synops_per_sample")
        rows = [
            (row["layer"], row["shape"], *(None if row[key] is None else figure(row[key]) for key in keys))
            for row in self.layers()
        ]
        return recording_view(repr(self), self.value, rows, self.errors)

    def _facts(self) -> Iterable[str]:
        yield self.value.rung
        yield counted(len(self.value), "sample")
        if (says := result(self.value)[1]) is not None:
            yield says


def _known(label: int) -> int | None:
    return label if label >= 0 else None


@speaks_python
def emulate(
    program: Program,
    events: object,
    *,
    watch: Sequence[str] | None = None,
    rasters: int = 0,
    extremes: bool = False,
    device: str = "cpu",
) -> Recording:
    """``program`` on the emulator: event by event, core by core, in the integers of its chip.

    ``events`` is what `events` takes; arrays of events are on the map of the program's input. Spikes are counted in
    the layers ``watch`` (None: all) and in the outputs; the single spikes of the first ``rasters`` samples are kept.
    ``extremes`` measures the lowest and highest V of every layer; ``device`` is "cpu" or "cuda". What ran before is
    not run again.

    Raises InputError for events that do not fit the program, UnsupportedError for a program without cores.
    """
    from deploytool.run.jobs.job import Job

    mapped = program_in(program, "emulate")
    return _run(mapped, Job("emulator", watch=_watch(watch, rasters, extremes)), events, device)


@speaks_python
def simulate(
    net: object,
    events: object,
    *,
    watch: Sequence[str] | None = None,
    rasters: int = 0,
    extremes: bool = False,
    device: str = "cpu",
) -> Recording:
    """``net`` on the simulator: event by event, without the limits of a chip.

    A network (what `load` takes) runs in float32, a Program in its own arithmetic. All else is as for `emulate`.
    """
    from deploytool.run.jobs.job import Job

    program = net if isinstance(net, Program) else compile_network(net, SIMULATOR)
    return _run(program, Job("simulator", watch=_watch(watch, rasters, extremes)), events, device)


@speaks_python
def clock_driven(
    net: Model | Program,
    events: object = None,
    time_steps: int | None = None,
    *,
    bins: Bins = "time",
    watch: Sequence[str] | None = None,
    rasters: int = 0,
) -> Recording:
    """``net`` in time steps: a Model as torch trained it, a Program in its own arithmetic.

    ``events`` are by default the test samples of a Model's recipe, and ``time_steps`` those of its training; a Program
    needs both. ``bins`` are steps of equal "time", or of equal "count" of events. All else is as for `emulate`.
    """
    from deploytool.run.jobs.job import Job

    if isinstance(net, Model):
        from deploytool.workflow.train import run_trained

        source = None if events is None else source_in(events, net.recipe.network.input)
        return Recording(run_trained(net.cache, net.artifact, net.recipe, source, time_steps), net.cache, source)
    job = Job("quantised", time_steps, _watch(watch, rasters), bins=bins)
    return _run(program_in(net, "clock_driven"), job, events)


def _watch(layers: Sequence[str] | None, rasters: int, extremes: bool = False) -> Watch:
    return Watch(None if layers is None else tuple(layers), rasters, extremes)


def _run(program: Program, job: Job, events: object, device: str = "cpu") -> Recording:
    from deploytool.workflow.run import run

    source = source_in(events, program.value.input_shape)
    return Recording(run(program.cache, str(program.path), job, source, device=device), program.cache, source)
