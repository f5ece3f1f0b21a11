"""The verb init: a recipe that runs, for data of one's own or a network by name, with every key explained."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from deploytool.base.arrays import Shape, format_shape
from deploytool.base.errors import ArtifactError, DeployError, FitError, UnsupportedError, UsageError
from deploytool.base.files import write_file
from deploytool.base.nearest import did_you_mean
from deploytool.recipe import parse_recipe
from deploytool.recipe.commented import commented
from deploytool.recipe.load import suited
from deploytool.recipe.presets.preset import Preset
from deploytool.recipe.presets.table import PRESETS
from deploytool.workflow.preflight import TRAINABLE, refuse_impossible
from deploytool.workflow.sources.found import Found, found_in

WIDTHS: Final[Mapping[int, tuple[tuple[int, ...], ...]]] = {
    0: ((8, 16), (8, 8), (4, 8), (4, 4)),
    20: ((8, 16, 16), (8, 16), (8, 8), (4, 4)),
    40: ((8, 16, 32, 32), (8, 16, 16, 16), (8, 8, 8, 8), (4, 4, 8, 8)),
}
"""{shorter side of the map from which they are tried: features of the convolutions, the largest network first}."""
SMALLEST_MAP: Final = 4
"""Sides of a map below this are not pooled again."""
STEPS: Final = 1500
"""Steps of the optimizer that a training has about, if its data are few or many."""
BATCH: Final = 32


@dataclass(frozen=True)
class Written:
    """A recipe that was written: its ``text``, and what was chosen, in sentences."""

    text: str
    says: tuple[str, ...] = field(default=())


def init(folder: Path | None = None, preset: str | None = None) -> Written:
    """A recipe for the data in ``folder``, or for the network called ``preset``; of the digits if neither is given.

    Raises UsageError for both, or an unknown preset; InputError for a folder without data; FitError if no network for
    the data fits the chip.
    """
    if folder is not None and preset is not None:
        raise UsageError("--from, --preset", "both given", "one of the two")
    if preset is not None:
        return _of_preset(preset)
    found = Found("digits", {}, (2, 16, 16), 10, 1294, 100.0) if folder is None else found_in(folder)
    return _of_data(found)


def write(written: Written, path: Path, force: bool) -> None:
    """Writes a recipe to the file ``path``. Raises UsageError for one that exists, unless ``force``."""
    if not force and os.path.lexists(path):
        raise UsageError(str(path), "exists", "another name in --output", "Or overwrite it with --force.")
    try:
        write_file(path, written.text.encode())
    except ArtifactError as error:
        raise UsageError.of_problems(error.problems) from None


def _of_data(found: Found) -> Written:
    """The recipe for data, with the largest network of `WIDTHS` for its map that fits the chip."""
    problem: DeployError | None = None
    side = min(found.shape[1:])
    for widths in WIDTHS[max(least for least in WIDTHS if least <= side)]:
        values = _values(found, _network(found.shape, found.classes, widths))
        try:
            refuse_impossible(parse_recipe(values, "recipe"))
        except FitError as error:
            problem = error
            continue
        layers = f"{len(widths)} convolutions of {', '.join(map(str, widths))} features"
        says = (*found.says, f"Network: {layers}, which fits the Speck2e.")
        return Written(commented(values, _heading(found.name, says)), says)
    raise problem or FitError("init", "no network fits", "a smaller map")


def _network(shape: Shape, classes: int, widths: tuple[int, ...]) -> dict[str, Any]:
    """[network] with convolutions of ``widths`` features, each of which halves the map, by pooling or a stride."""
    layers: list[dict[str, Any]] = []
    _, high, wide = shape
    for out in widths:
        conv = {"type": "conv", "out": out, "kernel": 3, "padding": 1}
        is_large = min(high, wide) // 2 >= SMALLEST_MAP
        if is_large and (min(high, wide) > 64 or high % 2 or wide % 2):
            conv["stride"] = 2
            high, wide = -(-high // 2), -(-wide // 2)
        layers += [conv, {"type": "spike"}]
        if min(high, wide) // 2 >= SMALLEST_MAP and high % 2 == wide % 2 == 0:
            layers.append({"type": "sumpool", "kernel": 2})
            high, wide = high // 2, wide // 2
    layers += [{"type": "flatten"}, {"type": "linear", "out": classes}, {"type": "spike"}]
    return {"input": list(shape), "layers": layers}


def _values(found: Found, network: Mapping[str, Any]) -> dict[str, Any]:
    """The whole recipe for data, with ``network``."""
    steps_per_epoch = max(1, -(-found.samples // BATCH))
    side = min(found.shape[1:])
    augment = {"shift": 1 if side < 28 else 2} if side >= 8 else {}
    return {
        "name": found.name,
        "seed": 0,
        "data": {"set": found.set, **found.keys},
        "network": network,
        "constraints": {"chip": "speck2e", "weight_bits": 8, "floor": -1.0, "reset": "subtract"},
        "train": {
            "method": "sdt",
            "time_steps": 40,
            "epochs": min(60, max(5, round(STEPS / steps_per_epoch))),
            "batch": BATCH if found.samples >= 4 * BATCH else 8,
            "learning_rate": 5e-3,
            "average": 0.98,
            **augment,
            "drop": 0.3,
        },
        "validate": {"max_accuracy_drop": 2.0},
    }


def _of_preset(name: str) -> Written:
    """The recipe for a network by name, with a data set that has its input. Raises UsageError if there is none."""
    if name not in PRESETS:
        need, question = f"one of {', '.join(PRESETS)}", did_you_mean(name, PRESETS)
        raise UsageError(f"--preset {name}", "no network of this name", need, question)
    preset = PRESETS[name]
    data = next(_sets_for(name, preset), None)
    if data is None:
        need = (
            f"a preset that one has: {', '.join(each for each in PRESETS if next(_sets_for(each, PRESETS[each]), 0))}"
        )
        raise UsageError(f"--preset {name}", f"no data set has its input of {format_shape(preset.input)}", need)
    pictures = "classes" not in preset.options
    network: dict[str, Any] = {"preset": name, "input": list(preset.input)}
    if not pictures:
        network["classes"] = preset.options["classes"]
    if preset.options.get("pool") == "avg":
        network["pool"] = "sum"
    found = Found(data["set"], {key: value for key, value in data.items() if key != "set"}, preset.input, 0, 50_000, 0)
    values = _values(found, network) | {"name": name}
    if pictures:
        values["constraints"]["floor"] = float("-inf")
        train = {key: value for key, value in values["train"].items() if key not in ("average", "drop", "shift")}
        values |= {"run": {"on": []}, "train": {**train, "method": "ptl", "loss": "mse", "time_steps": 16}}
        del values["validate"]
    values = suited(with_needs(values, preset), TRAINABLE)
    says = [f"Network: {preset.title} ({preset.source}).", f"Data set: {values['data']['set']}."]
    if pictures:
        says.append("It is trained only, because its last layer never fires.")
    elif preset.needs:
        says.append("It is trained only: no chip can run it.")
    try:
        refuse_impossible(parse_recipe(values, "recipe"))
    except (FitError, UnsupportedError):
        values["run"] = {"on": ["simulator"]}
        says.append("It does not fit the Speck2e: it runs on the simulator alone.")
    return Written(commented(values, _heading(name, says)), tuple(says))


def with_needs(values: Mapping[str, Any], preset: Preset) -> dict[str, Any]:
    """The ``values`` of a recipe with the sections that the network of ``preset`` needs, trained only if it says so."""
    if not preset.needs:
        return dict(values)
    random = ("shift", "drop")
    plain = {**values, "train": {key: value for key, value in values["train"].items() if key not in random}}
    found = {**plain, **{name: {**plain.get(name, {}), **needed} for name, needed in preset.needs.items()}}
    return {name: section for name, section in found.items() if name != "validate"}


def _sets_for(name: str, preset: Preset) -> Iterator[dict[str, Any]]:
    """[data] of the sets whose samples have the input of ``preset`` and no more classes, the best first."""
    from deploytool.data.sets.sources import DATASETS, EVENT_SETS

    classes = preset.options.get("classes", 10**6)
    sets = {key: each for key, each in DATASETS.items() if not each.values}
    fitting = {key: each for key, each in sets.items() if each.shape == preset.input and each.classes <= classes}
    yield from ({"set": key} for key in sorted(fitting, key=lambda key: (key != name, -fitting[key].classes)))
    for key, each in EVENT_SETS.items():
        if each.shape[0] == preset.input[0] and preset.input[1] > 1 and each.classes == classes and each.shape[1] > 64:
            yield {"set": key, "size": list(preset.input[1:])}
    if preset.input[0] == 3:
        yield {"set": "imagefolder", "size": list(preset.input[1:])}


def _heading(name: str, says: tuple[str, ...] | list[str]) -> str:
    """The comment at the top of a recipe."""
    ways = "Check it: deploytool check FILE. Train, map and judge it: deploytool pipeline FILE."
    return "\n".join([f"A recipe for {name}, written by deploytool init.", *says, ways])
