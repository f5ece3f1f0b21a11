"""The verb show: an artifact and its lineage, all artifacts, and the names that a recipe can use."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from deploytool.base.errors import ArtifactError
from deploytool.base.machine import trained_on
from deploytool.recipe import NetworkSection
from deploytool.store.artifact import Artifact, Store, open_artifact
from deploytool.store.lineage import ancestors, lineage, machine_of
from deploytool.workflow.stored.contents import content_of
from deploytool.workflow.stored.readout import readout
from deploytool.workflow.stored.summaries import Summary, summary

IN_FULL: Final = ("history", "digest", "created", "made_by", "files", "recipe", "lineage")
"""The keys of a description that are shown only where a person asks for the artifact."""

JSON_ONLY: Final = ("readings", "machine")
"""The keys of a description that are too long for a terminal, or said there in a sentence."""


def describe(store: Store, artifact: Artifact) -> dict[str, Any]:
    """The name, a summary of the content and the whole lineage of ``artifact``."""
    machine = machine_of(store, artifact)
    return {
        "artifact": artifact.name,
        "kind": artifact.kind,
        "path": str(artifact.path),
        **content_of(artifact),
        **readout(store, artifact),
        **({"trained_on": trained_on(machine), "machine": machine} if machine else {}),
        "digest": artifact.digest,
        "created": artifact.manifest.created,
        "made_by": artifact.manifest.made_by,
        "files": sorted(artifact.manifest.files),
        "recipe": artifact.manifest.recipe,
        "lineage": [
            {"artifact": source.name, "made_from": ", ".join(lineage(store, source)) or "-"}
            for source in (artifact, *ancestors(store, artifact))
        ],
    }


def energy(store: Store, reference: str, pj_per_synop: float) -> dict[str, Any]:
    """The estimated energy of a sample of a recording, with an assumption of the caller's."""
    from deploytool.ir.recording_file import load_recording
    from deploytool.validate.energy import energy as estimate

    recording = store.get(reference, "recording")
    found = estimate(load_recording(recording.path), pj_per_synop)
    return {
        "artifact": recording.name,
        "energy": found.says,
        "energy_uj_per_sample": found.uj_per_sample,
        "power_mw": found.mw,
    }


def artifacts(store: Store) -> list[dict[str, Any]]:
    """One row per artifact of ``store``, newest first; of a damaged one only the name and the problem."""
    return [_row(store, path) for path in store.folders()]


def _row(store: Store, path: Path) -> dict[str, Any]:
    try:
        artifact = open_artifact(path)
        found = summary(store, artifact)
        made_from = ", ".join(lineage(store, artifact)) or "-"
    except ArtifactError as error:
        found, made_from, created = Summary(result="damaged"), f"damaged: {error}", None
    else:
        created = artifact.manifest.created
    return {"artifact": path.name, "created": created, **asdict(found), "made_from": made_from}


def datasets() -> list[dict[str, str]]:
    """The data sets that a recipe can name."""
    from deploytool.data.sets.sources import DATASETS

    return [{"data_set": name, "says": source.says} for name, source in DATASETS.items()]


def schema() -> str:
    """The JSON schema of recipes, as text."""
    from deploytool.recipe.schema import schema_text

    return schema_text()


def presets() -> list[dict[str, Any]]:
    """The networks that a recipe can name, with their number of weights on the usual input and in their source."""
    from deploytool.base.arrays import format_shape
    from deploytool.recipe.nodes import weight_count
    from deploytool.recipe.presets.table import PRESETS

    rows = []
    for name, preset in PRESETS.items():
        network = NetworkSection.model_validate({**preset.options, "preset": name, "input": preset.input})
        rows.append(
            {
                "preset": name,
                "weights": weight_count(network),
                "in_source": preset.parameters,
                "input": format_shape(preset.input),
                "says": f"{preset.title} ({preset.source})",
            }
        )
    return rows
