"""The verb export: the content of a recording in other file formats."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from deploytool.base.errors import UsageError
from deploytool.base.files import require_writable, write_file
from deploytool.ir.program_file import load_program
from deploytool.ir.recording import Recording
from deploytool.ir.recording_file import load_recording
from deploytool.store.artifact import Artifact, Store
from deploytool.store.lineage import ancestors

TABLE: Final = ".csv"


def export_counts(store: Store, reference: str, layer: str, output: Path) -> dict[str, Any]:
    """Writes spikes per neuron of ``layer``, before pooling, to ``output``: int64 (samples, C, H, W), or a table."""
    stored = store.get(reference, "recording")
    require_writable(output)
    recording = load_recording(stored.path)
    counts = recording.counts[recording.layer(layer)]
    if output.suffix.lower() == TABLE:
        from deploytool.data.spikes.write import write_count_table

        write_count_table(recording, output, [recording.layer(layer)])
    else:
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(counts, np.int64), allow_pickle=False)
        write_file(output, buffer.getvalue())
    return {"written": str(output), "layer": recording.layer(layer), "shape": list(counts.shape)}


def export_files(
    store: Store, reference: str, spikes: Path | None = None, counts: Path | None = None, samples: Path | None = None
) -> dict[str, Any]:
    """Writes the single ``spikes``, the ``counts`` of all layers and the ``samples`` of a recording to these files.

    With ``spikes``, ``samples`` are those whose spikes were kept. Raises UsageError if none were kept, or for a kind of
    file that cannot hold them.
    """
    from deploytool.data.spikes import write

    artifact = store.get(reference, "recording")
    for path in (spikes, counts, samples):
        if path is not None:
            require_writable(path)
    recording = load_recording(artifact.path)
    kept, files = np.ones(len(recording), bool), []
    if spikes is not None:
        kept, number = write.kept_samples(recording), sum(map(len, recording.spikes.values()))
        _spike_writer(store, spikes, artifact, recording)(recording, spikes)
        whole = len(recording) if spikes.suffix.lower() == ".npz" else int(kept.sum())
        files.append({"written": str(spikes), "holds": "spikes", "samples": whole, "number": number})
    if counts is not None:
        write.write_count_table(recording, counts, list(recording.counts))
        number = sum(int(array.sum()) for array in recording.counts.values())
        files.append({"written": str(counts), "holds": "counts", "samples": len(recording), "number": number})
    if samples is not None:
        write.write_sample_table(recording, samples, kept)
        files.append({"written": str(samples), "holds": "samples", "samples": int(kept.sum()), "number": None})
    return {"recording": artifact.name, "files": files}


def _spike_writer(
    store: Store, path: Path, artifact: Artifact, recording: Recording
) -> Callable[[Recording, Path], None]:
    """The function that writes the spikes of ``recording``, stored as ``artifact``, to a file such as ``path``."""
    from deploytool.data.spikes import write

    def write_nir(recording: Recording, path: Path) -> None:
        from deploytool.data.spikes.nirdata import write_nir_data

        program = next((each for each in ancestors(store, artifact) if each.kind == "program"), None)
        write_nir_data(recording, path, load_program(program.path).input_shape if program else None)

    writers: Mapping[str, Callable[[Recording, Path], None]] = MappingProxyType(
        {TABLE: write.write_spike_table, ".npz": write.write_arrays, ".h5": write_nir}
    )
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise UsageError(f"--spikes {path}", f"the suffix {path.suffix or 'none'}", f"one of {', '.join(writers)}")
    if not recording.spikes:
        todo = "Run it again with --rasters N, which keeps every spike of N samples."
        raise UsageError(
            f"--spikes {path}", f"{artifact.name} has no single spikes", "a recording that kept some", todo
        )
    return writer
