"""The verb map: a graph to a program, for a chip or for the simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deploytool.base.digest import canonical_json
from deploytool.base.errors import FitError, UsageError
from deploytool.base.machine import threads
from deploytool.chip.chips import chip_named
from deploytool.ir.fan_in import over_fan_in
from deploytool.ir.graph import Graph
from deploytool.ir.program import SIMULATOR, Program
from deploytool.ir.program_file import save_program
from deploytool.recipe import (
    MapSection,
)
from deploytool.store.artifact import Artifact
from deploytool.store.caching import Workspace
from deploytool.store.files import CALIBRATION, CONFIGURATION, NETWORK, QUANTISATION, SPLITS
from deploytool.workflow.convert import convert
from deploytool.workflow.samples import CALIBRATION_PARTS, SampleSource

if TYPE_CHECKING:
    from deploytool.base.progress import Tick
    from deploytool.map.calibrate import Calibration
    from deploytool.map.compile import Mapped


FREE: Final = MapSection(target=SIMULATOR)


PLAIN: Final = MapSection()


def map_graph(
    space: Workspace,
    source: str,
    spec: MapSection,
    weight_bits: int = 8,
    calibration: SampleSource | None = None,
    fan_in: int | None = None,
) -> Artifact:
    """The program of a graph (or of a .nir file that states its reset rule) for a chip or the simulator.

    With ``calibration`` these samples choose scale and rounding, where that is better than the plain rule.
    Raises FitError for neurons with more than ``fan_in`` inputs, and as `deploytool.map.compile.compile_graph` does.
    """
    from deploytool.convert.nir import read_nir

    stored = convert(space, source) if Path(source).is_file() else space.store.get(source, "graph")
    graph = read_nir(stored.path / NETWORK)
    inputs = {"graph": stored.digest}
    if spec.target == SIMULATOR:
        if calibration is not None or spec.pins or weight_bits != 8:
            raise UsageError(
                "--quantise, --pin, --weight-bits",
                "given for the simulator, in float32 and without cores",
                "a chip as --target",
            )
        from deploytool.map.group import group

        return space.stored("program", inputs, {"target": spec.target}, lambda: group(graph), save_program)

    def compute() -> Mapped:
        from deploytool.map.compile import compile_graph

        chip = chip_named(spec.target)
        integers = replace(chip.integers, weight_bits=weight_bits)
        with space.progress("calibrate", "layer") as tick:
            asked = _calibration(calibration, graph, tick) if calibration else None
            mapped = compile_graph(graph, chip, integers, spec.pins, spec.split, calibration=asked)
        over = [over_fan_in(name, layer.weights, fan_in) for name, layer in mapped.program.layers.items()]
        if problems := [problem for problem in over if problem]:
            raise FitError.together(problems)
        return mapped

    def write(mapped: Mapped, folder: Path) -> None:
        save_program(mapped.program, folder)
        written: dict[str, Any] = {
            CONFIGURATION: configure(mapped.program, spec),
            QUANTISATION: [asdict(layer) for layer in mapped.quantisation],
            SPLITS: [asdict(split) for split in mapped.splits],
        }
        if mapped.calibrated:
            written[CALIBRATION] = mapped.calibrated.as_json()
        for name, value in written.items():
            (folder / name).write_text(canonical_json(value), encoding="utf-8")

    decided: dict[str, Any] = {"map": spec.model_dump(mode="json"), "weight_bits": weight_bits}
    if fan_in is not None:
        decided["fan_in"] = fan_in
    if calibration is not None:
        decided["calibration"] = calibration.says
        inputs["calibration"] = calibration.fingerprint
    return space.stored("program", inputs, decided, compute, write)


def _calibration(source: SampleSource, graph: Graph, tick: Tick) -> Calibration:
    from deploytool.map.calibrate import Calibration
    from deploytool.map.group import group
    from deploytool.run.targets.simulator import Simulator

    found = source.load(group(graph).input_shape)
    parts = CALIBRATION_PARTS
    held_out = [stream for index, stream in enumerate(found) if index % parts]
    return Calibration(Simulator(threads()), found[::parts], held_out, tick)


def configure(program: Program, spec: MapSection = PLAIN) -> Mapping[str, Any]:
    """The chip's configuration, in the vendor's terms, of a mapped program."""
    from deploytool.map.emit import configuration

    return configuration(program, chip_named(program.chip), spec.dvs, spec.readout)
