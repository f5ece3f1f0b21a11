"""The verb export: the content of a recording in other file formats."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from deploytool.base.files import write_file
from deploytool.ir.recording_file import load_recording
from deploytool.store.artifact import Store


def export_counts(store: Store, reference: str, layer: str, output: Path) -> dict[str, Any]:
    """Writes spikes per neuron of ``layer``, before pooling, to ``output``: int64 (samples, C, H, W)."""
    recording = load_recording(store.get(reference, "recording").path)
    counts = recording.counts[recording.layer(layer)]
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(counts, np.int64), allow_pickle=False)
    write_file(output, buffer.getvalue())
    return {"written": str(output), "layer": recording.layer(layer), "shape": list(counts.shape)}
