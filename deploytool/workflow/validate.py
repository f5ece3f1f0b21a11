"""The verb validate: from recordings of the same samples to a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from deploytool.ir.verdict import Verdict
from deploytool.ir.verdict_file import save_verdict
from deploytool.recipe import ValidateSection
from deploytool.store.artifact import Artifact, Request
from deploytool.store.cache import StageCache
from deploytool.workflow.import_recording import recording_named
from deploytool.workflow.sources.classes import class_names
from deploytool.workflow.sources.recordings import load


def validate(
    cache: StageCache, recordings: Sequence[str], limits: ValidateSection, against: str | None = None
) -> Artifact:
    """The verdict on recordings of the same samples: the pairs of the ladder, or all recordings ``against`` one."""
    found = [cache.store.get(reference, "recording") for reference in recordings]
    inputs = {f"recording{i}": artifact.digest for i, artifact in enumerate(found)}
    asked: dict[str, Any] = {"validate": limits.stated}
    reference = None
    if against is not None:
        reference = recording_named(cache, against, found[0])
        inputs["against"] = reference.digest
        asked["limits"] = "of every pair"
        found.append(reference)

    def compute() -> Verdict:
        from deploytool.validate.ladder import judge

        loaded = {artifact.name: load(cache.store, artifact) for artifact in found}
        names = class_names(cache.store, found[0]) or None
        return replace(judge(loaded, limits, reference.name if reference else None), class_names=names)

    return cache.stored(Request("verdict", inputs, asked), compute, save_verdict)
