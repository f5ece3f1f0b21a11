"""Made-up recordings: one with everything a recording can hold, and one small enough to count by hand."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np

from deploytool.ir.decoder import Decoder
from deploytool.ir.recording import SPIKE, LayerActivity, Load, Recording, Setup
from deploytool.ir.recording_file import write_recording
from deploytool.ir.windows import OutputWindows

TWO_SAMPLES = Recording(
    rung="emulator",
    samples=("a", "b"),
    labels=np.array([0, 1]),
    outputs=("fc",),
    counts={"fc": np.array([[[[4]], [[0]], [[2]]], [[[6]], [[0]], [[0]]]])},
    synops=np.array([100, 300]),
    spikes={},
    aliases={},
    durations_us=np.array([1_000_000, 3_000_000]),
    activity={"fc": LayerActivity(7, np.array([[[10]], [[10]], [[0]]]), None, (-9, 99))},
)


def recording(samples: int, seed: int = 0, kept: int = 2) -> Recording:
    rng = np.random.default_rng(seed)
    spikes = np.zeros(5 * min(kept, samples), SPIKE)
    spikes["sample"] = np.repeat(np.arange(min(kept, samples)), 5)
    return Recording(
        rung="emulator",
        samples=tuple(f"s{i}" for i in range(samples)),
        labels=np.arange(samples),
        outputs=("fc",),
        counts={"conv": rng.integers(0, 300, (samples, 2, 3, 3)), "fc": rng.integers(0, 9, (samples, 4, 1, 1))},
        synops=rng.integers(0, 10**6, samples),
        spikes={"fc": spikes} if len(spikes) else {},
        aliases={"if": "fc"},
        durations_us=rng.integers(1, 10**6, samples),
        activity={
            "conv": LayerActivity(3, rng.integers(0, 70_000, (2, 3, 3)), None, (-5, 900)),
            "fc": LayerActivity(0, None, (-int(rng.integers(0, 99)), 7), None),
        },
        setup=Setup("n" * 64, "p" * 64, "int8/int16", 4, 10, "count", "drop=1% seed 0 repeat 0"),
        decisions_us=rng.integers(-1, 10**6, samples),
        load={
            "conv.0": Load("conv", 3, int(rng.integers(0, 10**12)), 5, int(rng.integers(5, 50))),
            "fc": Load("fc", None, 7, int(rng.integers(0, 9)), 9),
        },
    )


def with_windows(value: Recording, windows: int = 3) -> Recording:
    """``value`` with ``windows`` in each sample, two values as targets and a decoder of them."""
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 300, (windows * len(value), value.classes))
    targets = rng.normal(size=(len(counts), 2)).astype(np.float32)
    decoder = Decoder(("vy", "vx"), rng.normal(size=(2, value.classes)), rng.normal(size=2), "px/s", "rate", 35_000)
    return replace(value, windows=OutputWindows(np.full(len(value), windows), counts, targets, decoder=decoder))


def stored(value: Recording) -> bytes:
    buffer = io.BytesIO()
    write_recording(value, buffer)
    return buffer.getvalue()
