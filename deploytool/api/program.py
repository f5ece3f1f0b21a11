"""A network mapped to a chip, or for the simulator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploytool.api.events import events
from deploytool.api.graph import network_in
from deploytool.api.result import Result, counted, frame
from deploytool.api.words import speaks_python
from deploytool.base.errors import UsageError
from deploytool.chip.chips import chip_named
from deploytool.ir.program import SIMULATOR
from deploytool.ir.program import Program as Mapped
from deploytool.ir.program_file import load_program
from deploytool.recipe import MapSection, asked
from deploytool.store.file_names import CONFIGURATION, QUANTISATION
from deploytool.workflow.map import Width, map_graph
from deploytool.workflow.sources.samples import CALIBRATION_PARTS, SampleSource, asked_calibration

if TYPE_CHECKING:
    import pandas

    from deploytool.base.arrays import Shape


@dataclass(frozen=True, eq=False, repr=False)
class Program(Result):
    """A mapped network; ``value`` is the `deploytool.ir.program.Program` that every target runs."""

    @cached_property
    def value(self) -> Mapped:
        """The program: layers, routes, weights, and the core of each layer."""
        return load_program(self.artifact.path)

    @property
    def chip(self) -> str:
        """The chip that it is for, or "simulator"."""
        return self.value.chip

    @cached_property
    def configuration(self) -> Mapping[str, Any] | None:
        """The configuration of the chip, in the vendor's terms; None for the simulator."""
        found: Mapping[str, Any] | None = self.artifact.read_json(CONFIGURATION)
        return found

    @cached_property
    def quantisation(self) -> list[dict[str, Any]]:
        """One row per layer: what quantisation did to its weights and its threshold; empty for the simulator."""
        rows: list[dict[str, Any]] = self.artifact.read_json(QUANTISATION) or []
        return rows

    def rows(self) -> list[dict[str, Any]]:
        """One row per layer: the shapes of its weights and maps, where its spikes go, its core, its neurons."""
        rows: list[dict[str, Any]] = self.describe()["layers"]
        return rows

    def to_dataframe(self) -> pandas.DataFrame:
        """`rows` as a table of pandas."""
        return frame(self.rows())

    def _repr_html_(self) -> str:
        from deploytool.report.views.cores import program_view

        chip = None if self.chip == SIMULATOR else chip_named(self.chip)
        return program_view(repr(self), self.value, chip, self.describe()["warnings"])

    def _facts(self) -> Iterable[str]:
        if self.chip == SIMULATOR:
            yield f"{counted(len(self.value.layers), 'layer')} for the simulator"
        else:
            yield f"{counted(len(set(self.value.core_of.values())), 'core')} of {self.chip}"
        yield self.value.arithmetic


@speaks_python
def compile(  # noqa: A001
    net: object,
    chip: str | None = None,
    *,
    pins: Mapping[str, int] | None = None,
    split: bool = True,
    weight_bits: int | None = None,
    requantise: bool = False,
    calibration: object = None,
    slow_clock_hz: int | None = None,
    decimate: Mapping[str, int] | None = None,
    balance: Mapping[str, int] | None = None,
) -> Program:
    """``net``, what `load` takes, in the integers and on the cores of ``chip``, as `deploytool map` does it.

    ``chip`` is by default the one that it was trained for, or speck2e; "simulator" is for a float32 program without
    limits. ``pins`` {layer: core} place layers; without ``split`` no layer is split over cores. ``weight_bits`` is
    the width of weights, by default that of training; another one needs ``requantise``. ``calibration`` are samples,
    what `events` takes or the name of a data set with a training part, on which scale and rounding of every layer are
    chosen. ``slow_clock_hz`` is for layers with a bias; ``decimate`` {layer: n} lets one in n spikes leave a core,
    ``balance`` {layer: SynOps per second} switches congestion balancers on.

    Raises FitError with every broken rule of the chip, UnsupportedError for nodes that no target supports.
    """
    graph = network_in(net, "compile")
    stated = {"pins": dict(pins or {}), "split": split, "slow_clock_hz": slow_clock_hz}
    stated |= {"decimate": dict(decimate or {}), "balance": dict(balance or {})}
    chosen_on = None
    if calibration is not None:
        chosen_on, count = _chosen_on(calibration, graph.input_shape)
        stated |= {"quantise": "calibrated", "calibration_samples": count}
    width = Width(weight_bits, requantise)
    mapped = map_graph(graph.cache, graph.artifact, chip, asked(MapSection, **stated), width, chosen_on)
    return Program(mapped, graph.cache)


def _chosen_on(calibration: object, shape: Shape) -> tuple[SampleSource, int]:
    """(the samples, how many of them the search uses): the others decide which result is kept."""
    if isinstance(calibration, str) and not Path(calibration).exists():
        found = asked_calibration("calibrated", calibration, None, None)
        assert found is not None
        return found, MapSection().calibration_samples
    source = events(calibration, shape)
    count = len(source.source.load(shape)) // CALIBRATION_PARTS
    if count < 1:
        need = f"at least {CALIBRATION_PARTS}: one in {CALIBRATION_PARTS} is for the search, the others decide"
        raise UsageError("calibration", f"found {counted(len(source), 'sample')}", need)
    return source.source, count


def program_in(source: object, where: str) -> Program:
    """``source``, which must be a Program, for the function ``where``."""
    if isinstance(source, Program):
        return source
    raise UsageError(where, f"a {type(source).__name__}", "a Program, which compile makes of a network")
