"""How artifacts are made again: the recipe behind them, and command lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from deploytool.ir.program import SIMULATOR
from deploytool.recipe import Recipe
from deploytool.recipe.toml import write_toml
from deploytool.store.artifact import Artifact

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
    values: dict[str, Any] = {"name": recipe_name(title), **model.manifest.recipe}
    on = {str(a.manifest.recipe["on"]) for a in artifacts if a.kind == "recording" and "on" in a.manifest.recipe}
    rasters = [int(a.manifest.recipe["rasters"]) for a in artifacts if "rasters" in a.manifest.recipe]
    values["run"] = {
        "on": [name for name in ("quantised", "simulator", "emulator") if name in on],
        "rasters": max(rasters, default=0),
    }
    for artifact in artifacts:
        if artifact.kind == "program" and "map" in artifact.manifest.recipe:
            asked = dict(artifact.manifest.recipe["map"])
            if asked.pop("target") == model.manifest.recipe["constraints"]["chip"]:
                values["map"] = asked
        if artifact.kind == "verdict":
            values["validate"] = artifact.manifest.recipe["validate"]
    found = Recipe.model_validate(values)
    written = found.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return write_toml(_without_machine(written))


def recipe_name(title: str) -> str:
    """``title`` as the name of a recipe: letters, digits, dots, underscores and hyphens."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", title).strip("-") or "recipe"


def commands(artifacts: Sequence[Artifact], title: str) -> tuple[Command, ...]:
    """The commands that make ``artifacts``, a verdict and everything behind it, again."""
    if any(artifact.kind == "model" for artifact in artifacts):
        file = f"{recipe_name(title)}.toml"
        return (
            (
                "Save the recipe below as a file, and run the whole chain: training, mapping, runs, verdict, report.",
                f"deploytool pipeline {file}",
            ),
            (
                "Check that the result is the same: equal digests are equal content.",
                f"deploytool show {artifacts[0].name}",
            ),
        )
    by_kind = {kind: [a for a in artifacts if a.kind == kind] for kind in ("program", "recording", "verdict")}
    return (
        *(_mapped(artifact, artifacts) for artifact in by_kind["program"]),
        *(_run(artifact, artifacts) for artifact in by_kind["recording"] if "on" in artifact.manifest.recipe),
        *(_validated(artifact, artifacts) for artifact in by_kind["verdict"]),
    )


def _mapped(artifact: Artifact, artifacts: Sequence[Artifact]) -> Command:
    recipe = artifact.manifest.recipe
    asked = recipe.get("map", {})
    graph = _named(artifact, "graph", artifacts)
    options = ["--target", str(asked.get("target", SIMULATOR))]
    options += [f"--pin={layer}={core}" for layer, core in asked.get("pins", {}).items()]
    options += [] if asked.get("split", True) else ["--no-split"]
    return f"Map the network: {artifact.name}.", _line("map", graph, *options)


def _run(artifact: Artifact, artifacts: Sequence[Artifact]) -> Command:
    recipe = artifact.manifest.recipe
    data = recipe["data"]
    options = ["--on", str(recipe["on"]), "--data", str(data.get("set") or data.get("files"))]
    for key in ("time_steps", "rasters"):
        options += [f"--{key.replace('_', '-')}", str(recipe[key])] if recipe.get(key) else []
    return f"Run it: {artifact.name}.", _line("run", _named(artifact, "program", artifacts), *options)


def _validated(artifact: Artifact, artifacts: Sequence[Artifact]) -> Command:
    limits = {key: value for key, value in artifact.manifest.recipe["validate"].items() if value is not None}
    names = {a.digest: a.name for a in artifacts}
    inputs = {role: names.get(digest, digest[:12]) for role, digest in artifact.manifest.inputs.items()}
    recordings = [name for role, name in inputs.items() if role != "against"]
    options = ["--against", inputs.get("against", recordings[0] if recordings else "")]
    options += [part for key, value in limits.items() for part in (f"--{key.replace('_', '-')}", f"{value:g}")]
    return f"Judge: {artifact.name}.", _line("validate", *recordings, *options)


def _named(artifact: Artifact, role: str, artifacts: Iterable[Artifact]) -> str:
    digest = artifact.manifest.inputs.get(role, "")
    return next((a.name for a in artifacts if a.digest == digest), f"{role}-{digest[:12]}")


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
