"""How artifacts are made again: the recipe behind them, and command lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from deploytool.ir.program import SIMULATOR
from deploytool.recipe import MapSection, ValidateSection
from deploytool.recipe.toml import write_toml
from deploytool.store.artifact import Artifact
from deploytool.workflow.sources.samples import IN_MEMORY
from deploytool.workflow.sources.stated import as_section, section, stated, whole

Command = tuple[str, str]
"""(what it does, the command line)."""


def recipe_text(artifacts: Sequence[Artifact], title: str) -> str:
    """The recipe behind ``artifacts`` as TOML, without defaults; empty if no model is among them.

    Sections that decide over runs and checks come from the recordings, programs and verdicts. Absolute paths are cut
    to their last part.
    """
    model = next((artifact for artifact in artifacts if artifact.kind == "model"), None)
    if model is None:
        return ""
    values: dict[str, Any] = {"name": recipe_name(title)}
    recordings = [artifact for artifact in artifacts if artifact.kind == "recording"]
    on = {_says(artifact, "on") for artifact in recordings}
    rasters = [_says(artifact, "rasters") or 0 for artifact in recordings]
    values["run"] = {
        "on": [name for name in ("quantised", "simulator", "emulator") if name in on],
        "rasters": max(rasters, default=0),
    }
    for artifact in artifacts:
        if artifact.kind == "program" and _says(artifact, "map"):
            asked = dict(stated(artifact, "map"))
            if asked.pop("target") == stated(model, "constraints")["chip"]:
                values["map"] = as_section(asked, f"{artifact.name}: recipe.map", MapSection)
        if artifact.kind == "verdict" and _says(artifact, "validate"):
            values["validate"] = section(artifact, "validate", ValidateSection)
    found = whole(model, values)
    written = found.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return write_toml(_without_machine(written))


def _says(artifact: Artifact, key: str) -> Any:
    """What the manifest of ``artifact`` states as ``key`` of its recipe; None if nothing."""
    return artifact.manifest.recipe.get(key)


def recipe_name(title: str) -> str:
    """``title`` as the name of a recipe: letters, digits, dots, underscores and hyphens."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", title).strip("-") or "recipe"


def commands(artifacts: Sequence[Artifact], title: str) -> tuple[Command, ...]:
    """The commands that make ``artifacts``, a verdict and everything behind it, again."""
    imported = [_imported(artifact, artifacts) for artifact in artifacts if _says(artifact, "imported")]
    by_kind = {kind: [a for a in artifacts if a.kind == kind] for kind in ("program", "recording", "verdict")}
    runs = [artifact for artifact in by_kind["recording"] if _says(artifact, "on")]
    if any(artifact.kind == "model" for artifact in artifacts):
        file = f"{recipe_name(title)}.toml"
        perturbed = [artifact for artifact in runs if _says(artifact, "perturbation")]
        asked = [a for a in by_kind["verdict"] if "against" in a.manifest.inputs or _says(a, "compare")]
        return (
            (
                "Save the recipe below as a file, and run the whole chain: training, mapping, runs, verdict, report.",
                f"deploytool pipeline {file}",
            ),
            *imported,
            *(_run(artifact, artifacts) for artifact in perturbed),
            *(_judged(artifact, artifacts) for artifact in asked),
            (
                "Check that the result is the same: equal digests are equal content.",
                f"deploytool show {artifacts[0].name}",
            ),
        )
    return (
        *(_mapped(artifact, artifacts) for artifact in by_kind["program"]),
        *(_run(artifact, artifacts) for artifact in runs),
        *imported,
        *(_judged(artifact, artifacts) for artifact in by_kind["verdict"]),
    )


def _mapped(artifact: Artifact, artifacts: Sequence[Artifact]) -> Command:
    recipe = artifact.manifest.recipe
    asked = recipe.get("map") or {}
    graph = _named(artifact, "graph", artifacts)
    given = {"--target": asked.get("target", SIMULATOR), "--no-split": not asked.get("split", True)}
    given |= {"--pin": [f"{layer}={core}" for layer, core in asked.get("pins", {}).items()]}
    if recipe.get("calibration"):
        given |= {"--quantise": "calibrated", "--data": recipe["calibration"].get("set")}
        given |= {"--calibration-samples": asked.get("calibration_samples")}
    if recipe.get("requantised_from"):
        given |= {"--weight-bits": recipe.get("weight_bits"), "--requantise": True}
    options = _options(given)
    return f"Map the network: {artifact.name}.", _line("map", graph, *options)


def _run(artifact: Artifact, artifacts: Sequence[Artifact]) -> Command:
    recipe = artifact.manifest.recipe
    data = stated(artifact, "data")
    given = {"--on": recipe["on"], "--data": data.get("set") or data.get("files")}
    given |= {"--samples": data.get("test_samples"), "--denoise-ms": data.get("denoise_ms")}
    given |= {key: value for key, value in data.items() if key.startswith("--")}
    given |= {f"--{key.replace('_', '-')}": recipe.get(key) for key in ("time_steps", "bins", "rasters", "extremes")}
    given |= {"--watch": recipe.get("watch")}
    if recipe.get("perturbation"):
        from deploytool.run.jobs.perturbation import Perturbation

        draw = Perturbation(**recipe["perturbation"])
        given |= {"--perturb": draw.models, "--seed": draw.seed, "--repeats": draw.repeat + 1}
    options = _options(given)
    says = f"Run it: {artifact.name}."
    if IN_MEMORY in data:
        says += f" Its {data[IN_MEMORY]} samples were given by a script: write them to files for --data."
    return says, _line("run", _named(artifact, "program", artifacts), *options)


def _imported(artifact: Artifact, artifacts: Sequence[Artifact]) -> Command:
    asked = artifact.manifest.recipe["imported"]
    data = asked.get("data") or {}
    given = {"--program": _named(artifact, "program", artifacts), "--rung": asked["rung"], "--layer": asked["layer"]}
    given |= {"--time-unit": asked["time_unit"], "--watch": asked["watch"], "--samples-of": asked.get("samples_of")}
    given |= {"--rename": [f"{name}={meaning}" for name, meaning in asked["renames"].items()]}
    given |= {"--data": data.get("set") or data.get("files"), "--samples": data.get("test_samples")}
    line = _line("import-recording", asked["file"], *_options(given))
    return f"Import what another program recorded: {artifact.name}.", line


def _judged(artifact: Artifact, artifacts: Sequence[Artifact]) -> Command:
    names = {a.digest: a.name for a in artifacts}
    inputs = {role: names.get(digest, digest[:12]) for role, digest in artifact.manifest.inputs.items()}
    if compared := _says(artifact, "compare"):
        explain = _options({"--explain": "explained" in compared})
        pair = (inputs.get(role, role) for role in ("reference", "test"))
        return f"Compare: {artifact.name}.", _line("compare", *pair, *explain)
    recordings = [name for role, name in inputs.items() if role != "against"]
    options = ["--against", inputs.get("against", recordings[0] if recordings else "")]
    limits = stated(artifact, "validate")
    options += _options({f"--{key.replace('_', '-')}": value for key, value in limits.items()})
    return f"Judge: {artifact.name}.", _line("validate", *recordings, *options)


def _named(artifact: Artifact, role: str, artifacts: Iterable[Artifact]) -> str:
    digest = artifact.manifest.inputs.get(role, "")
    return next((a.name for a in artifacts if a.digest == digest), f"{role}-{digest[:12]}")


def _options(given: Mapping[str, Any]) -> list[str]:
    """The words of options {name: value}: lists repeat the option, True takes no value, None and False are left out."""
    words: list[str] = []
    for name, value in given.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            if each is not None and each is not False:
                words += [name] if each is True else [name, f"{each:.12g}" if isinstance(each, float) else str(each)]
    return words


def _line(command: str, *words: str) -> str:
    return shlex.join(["deploytool", command, *words])


def _without_machine(value: Any) -> Any:
    """``value`` with absolute paths cut to their last part: folders of one machine mean nothing on another."""
    if isinstance(value, dict):
        return {key: _without_machine(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_machine(item) for item in value]
    if isinstance(value, str) and (PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()):
        return PureWindowsPath(value).name
    return value
