"""The verb import-recording: spikes or counts that another program recorded become a recording."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deploytool.base.digest import digest, file_digest
from deploytool.base.errors import InputError, UsageError
from deploytool.base.files import is_file
from deploytool.ir.events import EVENT, EventStream, count
from deploytool.ir.program import INPUT, Program
from deploytool.ir.program_file import load_program
from deploytool.ir.recording import Recording, Setup
from deploytool.ir.recording_file import load_recording, save_recording
from deploytool.ir.windows import counted, joined, windows_in, windows_of
from deploytool.store.artifact import Artifact, Request, Store
from deploytool.store.cache import StageCache
from deploytool.store.lineage import ancestors
from deploytool.store.manifest import FILE as MANIFEST
from deploytool.workflow.sources.classes import classes_of
from deploytool.workflow.sources.recordings import with_source
from deploytool.workflow.sources.samples import SampleSource

if TYPE_CHECKING:
    from deploytool.data.spikes.samples import Samples
    from deploytool.data.spikes.statements import Statements


def import_recording(
    cache: StageCache,
    file: Path,
    program: str,
    statements: Statements,
    samples: str | SampleSource | None = None,
) -> Artifact:
    """The recording in ``file``, of the layers of ``program``, as ``statements`` say.

    ``samples`` are those it is of: a data source, the name of a recording, or a table of samples; without them the file
    states how many there are.
    """
    mapped = cache.store.get(program, "program")
    loaded = load_program(mapped.path)
    streams: Sequence[EventStream] = ()
    if isinstance(samples, SampleSource):
        streams = samples.of(classes_of(cache.store, mapped, loaded)).load(loaded.input_shape)
    known, named = _known(cache.store, samples, streams)
    asked = {
        "file": file.name,
        "rung": statements.rung,
        "layer": statements.layer,
        "time_unit": statements.time_unit,
        "renames": dict(statements.renames),
        "watch": list(statements.watch),
        **named,
    }
    inputs = {"program": mapped.digest, "file": _sha256(file)}
    if known is not None:
        inputs["samples"] = digest([known.names, known.labels, known.durations_us, known.numbers])

    def compute() -> Recording:
        from deploytool.data.spikes.read import foreign_recording

        with cache.messages.progress("import", "megabyte") as tick:
            found = foreign_recording(file, loaded, statements, known, cache.messages.say, tick)
        setup = Setup(loaded.graph_digest, loaded.digest, loaded.arithmetic, imported=file.name)
        complete = _with_windows(_with_synops(found, loaded, streams), loaded, streams)
        return with_source(cache.store, mapped, replace(complete, setup=setup))

    return cache.stored(Request("recording", inputs, {"imported": asked}), compute, save_recording)


def recording_named(cache: StageCache, reference: str, compared: Artifact) -> Artifact:
    """The recording called ``reference``, or the one in the file of this name, to compare with ``compared``.

    A file is imported as a simulator's, of the program and the samples of ``compared``. Raises UsageError if the
    program of that is not in the store.
    """
    if not _is_foreign(reference):
        return cache.store.get(reference, "recording")
    from deploytool.data.spikes.statements import Statements

    mapped = next((artifact for artifact in ancestors(cache.store, compared) if artifact.kind == "program"), None)
    if mapped is None:
        found = f"a file, and the program of {compared.name} is not in the store"
        raise UsageError(reference, found, "a recording", "Import it with import-recording, which takes a program.")
    return import_recording(cache, Path(reference), str(mapped.path), Statements("simulator"), str(compared.path))


def recordings_named(cache: StageCache, reference: str, test: str) -> tuple[Artifact, Artifact]:
    """Two recordings to compare, one of which may be in a file, as for `recording_named`."""
    if _is_foreign(reference):
        stored = cache.store.get(test, "recording")
        return recording_named(cache, reference, stored), stored
    stored = cache.store.get(reference, "recording")
    return stored, recording_named(cache, test, stored)


def _is_foreign(reference: str) -> bool:
    """Whether ``reference`` is a file that is not the manifest of an artifact."""
    return is_file(Path(reference)) and Path(reference).name != MANIFEST


def parse_renames(texts: Sequence[str]) -> dict[str, str]:
    """{name in a file: its meaning} from ``NAME=MEANING`` texts. Raises UsageError for another text."""
    renames: dict[str, str] = {}
    for text in texts:
        name, equals, meaning = text.rpartition("=")
        if not equals or not name or name in renames:
            found = "the second for this name" if name in renames else "not of the form NAME=MEANING"
            raise UsageError(f"--rename {text}", found, "for example --rename counts=conv1")
        renames[name] = meaning
    return renames


def _known(
    store: Store, samples: str | SampleSource | None, streams: Sequence[EventStream]
) -> tuple[Samples | None, dict[str, Any]]:
    """(the samples, what a manifest says of where they are from)."""
    from deploytool.data.spikes.read import sample_table
    from deploytool.data.spikes.samples import samples_of, samples_of_streams

    if isinstance(samples, SampleSource):
        return samples_of_streams(streams), {"data": dict(samples.says)}
    if samples is None:
        return None, {}
    if _is_foreign(samples):
        return sample_table(Path(samples)), {"samples_of": Path(samples).name}
    artifact = store.get(samples, "recording")
    return samples_of(load_recording(artifact.path)), {"samples_of": artifact.name}


def _with_synops(recording: Recording, program: Program, streams: Sequence[EventStream]) -> Recording:
    """``recording`` with the synaptic updates that its spikes caused, if it has all layers and the input is known."""
    inputs = _input_counts(recording, program, streams)
    if inputs is None or not program.parts.keys() <= recording.counts.keys():
        return recording
    from deploytool.run.plan.layers import make_plan, state_type, updates

    plan = make_plan(program, state_type(program))
    synops = []
    for index, sent in enumerate(inputs):
        counts: Mapping[str, Any] = {INPUT: sent, **{name: maps[index] for name, maps in recording.counts.items()}}
        synops.append(sum(updates(layer, counts) for layer in plan.layers))
    return replace(recording, synops=np.array(synops, np.int64))


def _with_windows(recording: Recording, program: Program, streams: Sequence[EventStream]) -> Recording:
    """``recording`` with its output window by window, if ``program`` reads values and all output spikes are known.

    ``streams`` are its samples, with their targets; without them, windows need the durations of the samples.
    """
    outputs, known = recording.outputs, sum(len(recording.spikes.get(name, ())) for name in recording.outputs)
    timed = bool(streams) or len(recording.durations_us) == len(recording)
    if program.decoder is None or not outputs or not timed or known != int(recording.output_counts.sum()):
        return recording
    found = []
    for index in range(len(recording)):
        stream = streams[index] if streams else _silence(program, int(recording.durations_us[index]))
        number = windows_in(stream, program.decoder)
        counts = counted(*recording.answer(index), recording.output_neurons, number, stream.duration_us)
        found.append(windows_of(stream, counts, program.decoder))
    return replace(recording, windows=joined(found))


def _silence(program: Program, duration_us: int) -> EventStream:
    """A sample of ``duration_us`` without events or targets."""
    return EventStream(np.empty(0, EVENT), program.input_shape, max(1, duration_us))


def _input_counts(
    recording: Recording, program: Program, streams: Sequence[EventStream]
) -> Sequence[NDArray[np.int64]] | None:
    """The input events of each sample at each position (C, H, W), from ``streams`` or the file; None if not known."""
    shape = program.input_shape
    if streams:
        return [count(stream.events, shape) for stream in streams]
    if INPUT not in recording.spikes:
        return None
    spikes = recording.spikes[INPUT]
    ends = np.searchsorted(spikes["sample"], np.arange(len(recording) + 1))
    if (np.diff(ends) == 0).any():
        return None
    return [count(spikes[start:end], shape) for start, end in itertools.pairwise(ends)]


def _sha256(file: Path) -> str:
    try:
        return file_digest(file)
    except OSError as error:
        found = "no such file" if not file.exists() else f"cannot be read ({error.strerror})"
        raise InputError(str(file), found, "a file of spikes or counts") from None
