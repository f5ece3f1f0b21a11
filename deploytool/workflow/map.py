"""The verb map: a graph to a program, for a chip or for the simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deploytool.base.errors import UsageError
from deploytool.base.json_text import canonical_json
from deploytool.base.machine import threads
from deploytool.chip.chips import Chip, chip_named
from deploytool.chip.integers import IntegerFormat
from deploytool.ir.graph import Graph
from deploytool.ir.program import SIMULATOR, Program
from deploytool.ir.program_file import save_program
from deploytool.ir.spec.rule import Level
from deploytool.ir.spec.verify import verify
from deploytool.recipe import MapSection
from deploytool.store.artifact import Artifact, Request
from deploytool.store.cache import StageCache
from deploytool.store.file_names import CALIBRATION, CONFIGURATION, NETWORK, QUANTISATION, SPLITS
from deploytool.workflow.sources.classes import class_names, write_names
from deploytool.workflow.sources.networks import DEFAULT_CHIP, trained_for
from deploytool.workflow.sources.prepared import streams_of
from deploytool.workflow.sources.samples import CALIBRATION_PARTS, SampleSource

if TYPE_CHECKING:
    from deploytool.base.progress import Tick
    from deploytool.map.calibrate import Calibration
    from deploytool.map.compile import Mapped
    from deploytool.map.cores import Extras


PLAIN: Final = MapSection()


@dataclass(frozen=True)
class Width:
    """The weight bits that a user asks for, and whether weights trained at another width may be requantised.

    None keeps the width that the network states, or the width of the chip if it states none.
    """

    bits: int | None = None
    requantise: bool = False


AS_TRAINED: Final = Width()


def map_graph(
    cache: StageCache,
    stored: Artifact,
    target: str | None = None,
    spec: MapSection = PLAIN,
    width: Width = AS_TRAINED,
    calibration: SampleSource | None = None,
) -> Artifact:
    """The program of a ``stored`` graph for ``target``, a chip or the simulator; by default the chip of its training.

    With ``calibration``, these samples choose scale and rounding if that is better than the plain rule.
    Raises UsageError for a ``width`` that is not the network's, and as `deploytool.map.compile.compile_graph` does.
    """

    @lru_cache
    def graph() -> Graph:
        from deploytool.convert.nir import read_nir

        with cache.messages.doing(f"reading {stored.name}"):
            return read_nir(stored.path / NETWORK)

    names = class_names(cache.store, stored)
    inputs = {"graph": stored.digest}
    made_of = {"network": stored.manifest.inputs.get("model", stored.digest)}

    if target == SIMULATOR:
        request = Request("program", inputs, _asked_of_simulator(spec, width, calibration))
        return cache.stored(request, lambda: _grouped(graph(), spec), partial(_write_program, names), made_of)

    target = target or trained_for(cache.store, stored) or DEFAULT_CHIP
    chip = chip_named(target)
    converted = "model" in stored.manifest.inputs
    trained_bits = stored.manifest.recipe.get("weight_bits") if converted else graph().weight_bits
    integers = _integers(trained_bits, chip, width)
    if width.requantise:
        cache.messages.say(
            f"requantised: weights trained at {trained_bits} bits become weights of {integers.weight_bits} bits"
        )

    def compute() -> Mapped:
        from deploytool.map.compile import compile_graph

        with cache.messages.progress("calibrate", "layer") as tick:
            asked = _calibration(cache, calibration, graph(), tick) if calibration else None
            return compile_graph(
                graph(), chip, integers, spec.pins, spec.split, calibration=asked, extras=extras_of(spec)
            )

    def write(mapped: Mapped, folder: Path) -> None:
        _write_program(names, mapped.program, folder)
        _write_mapping(mapped, spec, folder)

    asked = {"target": target, **spec.model_dump(mode="json")}
    decided: dict[str, Any] = {"map": asked, "weight_bits": integers.weight_bits}
    if width.requantise:
        decided["requantised_from"] = trained_bits
    if calibration is not None:
        _refuse_misfit(graph(), chip, spec, calibration)
        decided["calibration"] = calibration.says
        inputs["calibration"] = calibration.fingerprint
    return cache.stored(Request("program", inputs, decided), compute, write, made_of)


def _write_program(names: Sequence[str], program: Program, folder: Path) -> None:
    """Writes ``program`` and the ``names`` of its classes."""
    save_program(program, folder)
    write_names(names, folder)


def _write_mapping(mapped: Mapped, spec: MapSection, folder: Path) -> None:
    """Writes the configuration of the chip, and what quantising, splitting and calibrating did."""
    written: dict[str, Any] = {
        CONFIGURATION: configure(mapped.program, spec),
        QUANTISATION: [asdict(layer) for layer in mapped.quantisation],
        SPLITS: [asdict(split) for split in mapped.splits],
    }
    if mapped.calibrated:
        written[CALIBRATION] = mapped.calibrated.as_json()
    for name, value in written.items():
        (folder / name).write_text(canonical_json(value), encoding="utf-8")


def _asked_of_simulator(spec: MapSection, width: Width, calibration: SampleSource | None) -> dict[str, Any]:
    """What decides about a program for the simulator. Raises UsageError for what only a chip has."""
    clock = {} if spec.slow_clock_hz is None else {"slow_clock_hz": spec.slow_clock_hz}
    if calibration is not None or spec != MapSection(slow_clock_hz=spec.slow_clock_hz) or width != AS_TRAINED:
        raise UsageError(
            "--quantise, --pin, --no-split, --weight-bits, --requantise, --decimate, --balance",
            "given for the simulator, which computes in float32 and has no cores",
            "a chip as --target",
        )
    return {"target": SIMULATOR, **clock}


def extras_of(spec: MapSection) -> Extras:
    """The slow clock, the output decimators and the congestion balancers that ``spec`` asks for."""
    from deploytool.map.cores import Extras

    return Extras(spec.slow_clock_hz, spec.decimate, spec.balance)


def _grouped(graph: Graph, spec: MapSection) -> Program:
    """``graph`` for the simulator. Raises UnsupportedError for what no target runs."""
    from deploytool.map.cores import with_extras
    from deploytool.map.group import group

    program = with_extras(group(graph), extras_of(spec), graph.dt_ms)
    verify(program, Level.EXECUTABLE)
    return program


def _refuse_misfit(graph: Graph, chip: Chip, spec: MapSection, calibration: SampleSource) -> None:
    """Raises as `map_graph` does for what does not depend on the samples of ``calibration``, which are not read."""
    from deploytool.map.compile import fitted

    lowered, _ = fitted(graph, chip, spec.pins, spec.split, extras_of(spec))
    calibration.require(lowered.input_shape)


def _integers(trained: int | None, chip: Chip, width: Width) -> IntegerFormat:
    """The integers of ``chip`` in which a network is mapped whose weights were ``trained`` at that number of bits.

    Raises UsageError where ``width`` is another one and --requantise is not given, and where that has no effect.
    """
    if width.requantise and (trained is None or width.bits in (None, trained)):
        found = "has no effect: the network does not state a width"
        if trained is not None:
            found = f"has no effect: the network was trained at {trained} bits"
        raise UsageError("--requantise", found, "--weight-bits with a width other than the trained one")
    if width.bits is not None and trained not in (None, width.bits) and not width.requantise:
        raise UsageError(
            f"--weight-bits {width.bits}",
            f"the network was trained at {trained} bits, and its weights would change",
            f"--weight-bits {trained}, or no --weight-bits",
            "Add --requantise to change them anyway.",
        )
    return chip.integers_of(trained if width.bits is None else width.bits)


def _calibration(cache: StageCache, source: SampleSource, graph: Graph, tick: Tick) -> Calibration:
    from deploytool.map.calibrate import Calibration
    from deploytool.map.group import group
    from deploytool.run.targets.options import Options
    from deploytool.run.targets.table import make_target

    found = streams_of(cache, source, group(graph).input_shape)
    parts = CALIBRATION_PARTS
    held_out = [stream for index, stream in enumerate(found) if index % parts]
    return Calibration(make_target("simulator", Options(threads=threads())), found[::parts], held_out, tick)


def configure(program: Program, spec: MapSection = PLAIN) -> Mapping[str, Any]:
    """The chip's configuration, in the vendor's terms, of a mapped program."""
    from deploytool.map.emit import configuration

    return configuration(program, chip_named(program.chip), spec.dvs, spec.readout)
