"""What the chip's readout layer would say of a recording, as its program was mapped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from deploytool.ir.program import INPUT
from deploytool.ir.recording import Recording
from deploytool.recipe import ReadoutSection
from deploytool.store.artifact import Artifact, Store
from deploytool.workflow.sources.stated import as_section

if TYPE_CHECKING:
    from deploytool.validate.readout import Readings

ASSUMED: Final = (
    "no source confirms that the first of equal classes counts, that the average is not rounded down, and that it "
    "starts empty with a sample"
)


def readout(store: Store, artifact: Artifact) -> dict[str, Any]:
    """The readings of a recording's readout as JSON values; nothing without a readout.

    "readout" says how it reads, "readout_decisions" has a row per sample whose spikes were kept, and "readings" all
    readings of these samples.
    """
    program = store.by_digest(artifact.manifest.inputs.get("program", "")) if artifact.kind == "recording" else None
    mapped = program.manifest.recipe.get("map") if program else None
    if program is None or not mapped or not mapped.get("readout"):
        return {}
    asked, hz = (
        as_section(mapped["readout"], f"{program.path}: recipe.map.readout", ReadoutSection),
        mapped.get("slow_clock_hz"),
    )
    if hz is None:
        return {"readout": "not emulated: it needs a slow clock; give [map] slow_clock_hz, and map the network again"}

    from deploytool.ir.recording_file import load_recording
    from deploytool.validate.readout import Averaging, readings

    recording = load_recording(artifact.path)
    samples = _kept(recording)
    if not samples:
        return {"readout": "not emulated: it needs single output spikes; run the program with --rasters N"}
    averaging = Averaging(hz, asked.average, asked.threshold)
    read = {
        index: readings(*recording.answer(index), recording.classes, int(recording.durations_us[index]), averaging)
        for index in samples
    }
    return {
        "readout": (
            f"every tick of {hz} Hz gives the class with most spikes in the last "
            f"{'period' if asked.average == 1 else f'{asked.average} periods'}, if that is above {asked.threshold} "
            f"spike{'s' * (asked.threshold != 1)} per period; {ASSUMED}"
        ),
        "readout_decisions": [_decision(recording, index, found) for index, found in read.items()],
        "readings": [{"sample": recording.samples[at], "ticks": list(_rows(found))} for at, found in read.items()],
    }


def _kept(recording: Recording) -> list[int]:
    """The samples whose single output spikes were kept, where their durations are known."""
    if not recording.outputs or not {INPUT, *recording.outputs} <= recording.spikes.keys():
        return []
    kept = [recording.spikes[name]["sample"] for name in (INPUT, *recording.outputs)]
    return np.unique(np.concatenate(kept)).tolist() if len(recording.durations_us) else []


def _decision(recording: Recording, index: int, found: Readings) -> dict[str, Any]:
    """The first class that the readout gives for sample ``index``, and its time from the start of the sample."""
    given = np.flatnonzero(found.classes >= 0)
    first = int(given[0]) if len(given) else None
    label = int(recording.labels[index])
    return {
        "sample": recording.samples[index],
        "label": None if label < 0 else label,
        "class": None if first is None else int(found.classes[first]),
        "ms": None if first is None else int(found.t_us[first]) / 1000,
        "last_class": int(found.classes[given[-1]]) if len(given) else None,
        "readings": len(found.t_us),
        "idle": len(found.t_us) - len(given),
    }


def _rows(found: Readings) -> Iterator[dict[str, Any]]:
    for t_us, counts, answer in zip(found.t_us.tolist(), found.counts.tolist(), found.classes.tolist(), strict=True):
        yield {"t_us": t_us, "class": None if answer < 0 else answer, "counts": counts}
