"""Recordings in the store, each with the setup of its run."""

from __future__ import annotations

from dataclasses import replace

from deploytool.ir.recording import Recording
from deploytool.ir.recording_file import load_recording
from deploytool.store.artifact import Artifact, Store
from deploytool.store.lineage import ancestors
from deploytool.workflow.stated import stated


def load(store: Store, artifact: Artifact) -> Recording:
    """The recording ``artifact``. For an older file, what its setup lacks is taken from its manifest."""
    recording = load_recording(artifact.path)
    return recording if recording.setup.network else with_source(store, artifact, recording)


def with_source(store: Store, made_from: Artifact, recording: Recording) -> Recording:
    """``recording`` with the network, width of weights and time steps that the lineage of ``made_from`` states.

    ``made_from`` is the artifact of the recording, or the model or program that ran.
    """
    sources = {artifact.kind: artifact for artifact in reversed((made_from, *ancestors(store, made_from)))}
    network = sources.get("model") or sources.get("graph")
    known = recording.setup
    if recording.rung == "torch" and "model" in sources:
        steps = known.time_steps or stated(sources["model"], "train")["time_steps"]
        known = replace(known, time_steps=steps, bins=stated(sources["model"], "data").get("bins", "time"))
    elif "recording" in sources:
        asked = sources["recording"].manifest.recipe
        known = replace(known, time_steps=asked.get("time_steps"), bins=asked.get("bins", "time"))
    setup = replace(
        known,
        network=network.digest if network else known.network,
        weight_bits=sources["program"].manifest.recipe.get("weight_bits") if "program" in sources else None,
    )
    return replace(recording, setup=setup)
