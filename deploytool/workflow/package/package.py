"""The verb package: a program with all that somebody without deploytool needs to run it on a chip, and to check it."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.base.digest import digest
from deploytool.base.errors import UnsupportedError, UsageError
from deploytool.base.files import is_folder, require_writable, write_file
from deploytool.base.machine import threads
from deploytool.chip.chips import chip_named
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import SIMULATOR, Program
from deploytool.ir.program_file import load_program
from deploytool.ir.spec.rule import Level
from deploytool.ir.spec.verify import verify
from deploytool.ir.target import Watch
from deploytool.store.artifact import Artifact
from deploytool.store.cache import StageCache
from deploytool.store.file_names import CONFIGURATION
from deploytool.workflow.package.files import Contents, contents
from deploytool.workflow.package.vlab import require_chain
from deploytool.workflow.sources.samples import SampleSource
from deploytool.workflow.zoo import program_named

if TYPE_CHECKING:
    from deploytool.base.progress import Tick
    from deploytool.ir.recording import Recording

SUFFIX: Final = ".zip"
SAMPLES: Final = 4
"""Samples of a known answer, unless a number is asked for."""
EVENTS_MIN, EVENTS_MAX = 500, 2000
"""Limits of the events in a random sample; between them there is one for every pixel and feature."""
STEP_US: Final = 100
"""Time between two events of a random sample."""
NOT_IN_THE_ANSWER: Final[Mapping[str, str]] = {
    "leak_enable": "a bias, which leaks with the chip's slow clock",
    "output_decimator_enable": "an output decimator",
    "input_congestion_balancer_enable": "a congestion balancer",
}
"""{field of a core's configuration: what it turns on} of what the scripts of a package do not emulate."""
CREATED: Final = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the archive, so that equal packages are equal byte for byte."""


def package(
    cache: StageCache, reference: str, output: Path, samples: SampleSource | None = None, vlab: bool = False
) -> dict[str, Any]:
    """Writes the package of a program to ``output``; the known answer is that to ``samples``, or to random events.

    With ``vlab`` it also has what the remote laboratory needs. Raises UsageError for a file that is no .zip and for
    data without samples, and UnsupportedError for a program of the simulator, with a bias, or, with ``vlab``, that is
    no chain of layers. Raises ArtifactError if ``output`` cannot be written.
    """
    if output.suffix.lower() != SUFFIX:
        raise UsageError(
            f"--output {output}", f"the suffix {output.suffix or 'none'}", f"a file with the suffix {SUFFIX}"
        )
    if not is_folder(output.resolve().parent):
        raise UsageError(f"--output {output}", "a folder that does not exist", "a file in an existing folder")
    require_writable(output)
    artifact = program_named(cache, reference)
    program, configuration = _on_chip(artifact)
    if vlab:
        require_chain(program)
    source = samples or random_samples(SAMPLES)
    streams = list(source.load(program.input_shape))
    if not any(map(len, streams)):
        raise UsageError("--data", f"{len(streams)} samples without events", "at least one event")
    with cache.messages.progress("emulator", "sample") as tick:
        recording = _answer(program, streams, tick)
    made = contents(cache.store, Contents(artifact, program, configuration, streams, recording, source), vlab)
    archive = _zipped(made, artifact.name)
    write_file(output, archive)
    return {
        "written": str(output),
        "program": artifact.name,
        "chip": program.chip,
        "samples": len(streams),
        "events": sum(map(len, streams)),
        "spikes": int(sum(np.sum(recording.counts[name]) for name in recording.counts)),
        "sha256": hashlib.sha256(archive).hexdigest(),
        "files": [{"file": name, "bytes": len(content)} for name, content in made.items()],
    }


def random_samples(count: int) -> SampleSource:
    """``count`` samples of random events, the same ones on every machine."""
    says = {"random_samples": count, "step_us": STEP_US, "bits": "PCG64 of the number of the sample"}

    def load(shape: Shape) -> list[EventStream]:
        return [_random(shape, number) for number in range(count)]

    return SampleSource(says, lambda: digest(sorted(says.items())), load)


def _random(shape: Shape, number: int) -> EventStream:
    size = min(max(EVENTS_MIN, int(np.prod(shape))), EVENTS_MAX)
    bits = np.random.PCG64(number)
    events = np.zeros(size, EVENT)
    events["t"] = STEP_US * np.arange(size)
    for axis, limit in zip("cyx", shape, strict=True):
        events[axis] = bits.random_raw(size) % np.uint64(limit)
    return EventStream(events, shape, STEP_US * size, name=f"random {number}")


def _on_chip(artifact: Artifact) -> tuple[Program, Mapping[str, Any]]:
    """(the program as its chip runs it, its configuration). Raises UnsupportedError for what cannot be packed."""
    program = load_program(artifact.path)
    if program.chip == SIMULATOR:
        found = "a program for the simulator, which has no configuration of a chip"
        todo = "Map its graph: deploytool map graph@latest --target speck2e."
        raise UnsupportedError(artifact.name, found, "a program mapped for a chip", todo)
    configuration: Mapping[str, Any] = artifact.stored_json(CONFIGURATION)
    for values in filter(None, configuration["cnn_layers"]):
        if on := [what for field, what in NOT_IN_THE_ANSWER.items() if values.get(field)]:
            where = f"{artifact.name}: layer {values['name']!r}"
            raise UnsupportedError(where, f"has {' and '.join(on)}", "a program without it, to have a known answer")
    verify(program, Level.MAPPED)
    from deploytool.map.readout import as_configured

    return as_configured(program, chip_named(program.chip), configuration), configuration


def _answer(program: Program, streams: list[EventStream], tick: Tick) -> Recording:
    """The emulator's recording of ``streams``, with every spike of every layer."""
    from deploytool.run.targets.options import Options
    from deploytool.run.targets.table import make_target

    emulator = make_target("emulator", Options(threads=threads(), tick=tick))
    return emulator.run(program, streams, Watch(rasters=len(streams)))


def _zipped(made: Mapping[str, bytes], folder: str) -> bytes:
    """A zip archive of the files ``made`` {name: content} in ``folder``; equal files give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in made.items():
            info = zipfile.ZipInfo(f"{folder}/{name}", CREATED)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system, info.external_attr = 3, 0o100644 << 16
            archive.writestr(info, content)
    return buffer.getvalue()
