"""The verb validate: from recordings of the same samples to a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from deploytool.ir.verdict_file import save_verdict
from deploytool.recipe import ValidateSection
from deploytool.store.artifact import Artifact, Request
from deploytool.store.cache import StageCache
from deploytool.workflow.recordings import load


def validate(
    cache: StageCache, recordings: Sequence[str], limits: ValidateSection, against: str | None = None
) -> Artifact:
    """The verdict on recordings of the same samples; either all meaningful pairs, or all recordings ``against`` one."""
    from deploytool.validate.ladder import judge

    found = [cache.store.get(reference, "recording") for reference in recordings]
    inputs = {f"recording{i}": artifact.digest for i, artifact in enumerate(found)}
    reference = None
    if against is not None:
        stored = cache.store.get(against, "recording")
        inputs["against"], reference = stored.digest, load(cache.store, stored)
    return cache.stored(
        Request("verdict", inputs, {"validate": limits.model_dump()}),
        lambda: judge([load(cache.store, artifact) for artifact in found], limits, reference),
        save_verdict,
    )
