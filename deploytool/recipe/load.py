"""The reader of recipes, which reports all problems at once, each with its line in the file."""

from __future__ import annotations

import contextlib
import copy
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from deploytool.base.errors import RecipeError, UsageError
from deploytool.base.progress import Tell, silent
from deploytool.recipe.constraints import ConstraintsSection
from deploytool.recipe.lines import KeyPath
from deploytool.recipe.network import NetworkSection
from deploytool.recipe.origin import Origin
from deploytool.recipe.presets.preset import PresetSection
from deploytool.recipe.problems import Problem, as_problem, key_path, problems_of
from deploytool.recipe.recipe import RULES, Recipe, Rule, problems_between
from deploytool.recipe.section import S, Section
from deploytool.recipe.task import with_loss_of_task
from deploytool.recipe.toml import assign, override, read_text, read_toml, toml_value
from deploytool.recipe.train import ignored_keys

ROUNDS: Final = 8
"""Repairs of misspelled names, or of values that do not suit the others, one after another; then no more are tried."""

OPTIONS_MAX: Final = 900
"""The number of characters of options that solve all problems."""


def load_recipe(path: Path, overrides: Iterable[str] = (), rules: Sequence[Rule] = (), tell: Tell = silent) -> Recipe:
    """The recipe in the TOML file ``path`` with ``overrides`` of the form ``section.key=value`` applied.

    ``tell`` hears which keys its method ignores. Raises RecipeError with every problem in the file, each with its line,
    those with ``rules`` that other rooms add included.
    """
    file = read_toml(read_text(path), str(path))
    values, mistakes, overridden = file.values, list(file.mistakes), set[KeyPath]()
    for change in overrides:
        try:
            overridden.add(override(values, change))
        except RecipeError as error:
            mistakes.append(error)
    origin = Origin(str(path), file.lines, frozenset(overridden))
    if mistakes:
        misspelled = [problem for problem in _judged(values, ())[1] if problem.unknown_key or problem.meant]
        raise RecipeError.of_problems([*map(str, mistakes), *_placed(misspelled, origin)])
    _replace_network(values, overridden)
    recipe = _checked(values, origin, rules)
    if unused := ignored_keys(values["train"]):
        tell(f"{path}: method {recipe.train.method} ignores {', '.join(f'train.{key}' for key in unused)}.")
    return recipe


def _replace_network(values: dict[str, Any], overridden: Iterable[KeyPath]) -> None:
    """Removes the layers of the file if --set gives a preset, and the preset of the file if --set gives layers."""
    network = values.get("network")
    if not isinstance(network, dict):
        return
    given = {path[1] for path in overridden if path[0] == "network" and len(path) > 1}
    if "preset" in given and "layers" not in given:
        network.pop("layers", None)
    elif "layers" in given and "preset" not in given and isinstance(network.get("layers"), list):
        for key in [key for key in PresetSection.model_fields if key != "input" and key not in given]:
            network.pop(key, None)


def in_file(sentences: Iterable[str], path: Path) -> Iterator[str]:
    """``sentences`` about the recipe in ``path``, with the line of the key that each begins with.

    Raises RecipeError if it cannot be read.
    """
    origin = Origin(str(path), read_toml(read_text(path), str(path)).lines)
    sections = {field.alias or name for name, field in Recipe.model_fields.items()}
    for sentence in sentences:
        place, colon, says = sentence.partition(": ")
        keys = key_path(place)
        yield f"{origin.where(keys)}: {says}" if colon and keys and keys[0] in sections else sentence


class _Network(Section):
    """The sections of a recipe that say what a network is."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    network: NetworkSection = Field(description="Its layers.")
    constraints: ConstraintsSection = Field(ConstraintsSection(), description="Its neurons and the width of weights.")


def load_section(kind: type[S], path: Path) -> S:
    """The TOML file ``path``, all of which is a section of this ``kind``. Raises RecipeError with every problem."""
    values, origin = _of_known_keys(path, kind, f"a key of a {kind.__name__.lower()}")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise RecipeError.of_problems(_placed(problems_of(error), origin)) from None


def _of_known_keys(path: Path, kind: type[Section], need: str) -> tuple[dict[str, Any], Origin]:
    """The values in the TOML file ``path``, and where they are. Raises RecipeError for keys that ``kind`` lacks."""
    file = read_toml(read_text(path), str(path))
    if file.mistakes:
        raise RecipeError.together(file.mistakes)
    origin = Origin(str(path), file.lines)
    known = [field.alias or name for name, field in kind.model_fields.items()]
    if unknown := [key for key in file.values if key not in known]:
        todo = f"Known keys: {', '.join(known)}."
        raise RecipeError.together(RecipeError(origin.where((key,)), "unknown key", need, todo) for key in unknown)
    return file.values, origin


def load_network(path: Path) -> tuple[NetworkSection, ConstraintsSection]:
    """[network] and [constraints] of the TOML file ``path``, which needs no other section. Raises as `load_recipe`.

    Other sections of a recipe are ignored, but an unknown key is an error there too.
    """
    values, origin = _of_known_keys(path, Recipe, "a key of a recipe")
    try:
        found = _Network.model_validate(values)
    except ValidationError as error:
        raise RecipeError.of_problems(_placed(problems_of(error), origin)) from None
    return found.network, found.constraints


def parse_recipe(values: Mapping[str, Any], where: str) -> Recipe:
    """The recipe that ``values`` describe. Raises RecipeError with every problem."""
    return _checked(values, Origin(where), ())


def asked(kind: type[S], **values: Any) -> S:
    """The section ``kind`` of ``values`` from the command line. Raises UsageError with every problem."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        found = _placed(problems_of(error), Origin("command line"))
        raise UsageError.of_problems(found) from None


def suited(values: Mapping[str, Any], rules: Sequence[Rule]) -> dict[str, Any]:
    """``values`` with what solves the problems between them: options of a preset, the input of the network.

    Raises RecipeError with what is left.
    """
    recipe, problems, tried = _solved(values, rules)
    if recipe is None:
        raise RecipeError.of_problems(_placed(problems, Origin("recipe")))
    return _changed(values, tried)


def _checked(values: Mapping[str, Any], origin: Origin, rules: Sequence[Rule]) -> Recipe:
    """The recipe of ``values``. Raises RecipeError with every problem, and the --set options that solve them all."""
    recipe, problems, tried = _solved(values, rules)
    if recipe is not None and not tried:
        return recipe
    advice = ""
    if tried:
        solved = "it" if recipe is not None else "a part of it"
        advice = f"These options solve {solved}: {_options(tried)}"
    kinds = {problem.kind for problem in problems}
    kind = kinds.pop() if len(kinds) == 1 else RecipeError
    raise kind.of_problems(_placed(problems, origin), advice)


def _options(values: Mapping[KeyPath, object]) -> str:
    """The --set options that set ``values``, for a shell; those that are too many for a sentence are left out."""
    said, left_out = "", 0
    for path, value in values.items():
        key = ".".join(map(str, path))
        option = f"--set {shlex.quote(f'{key}={toml_value(value)}')}"
        if len(said) + len(option) > OPTIONS_MAX:
            left_out += 1
        else:
            said += f" {option}"
    return said.lstrip() + (f" and {left_out:,} more" if left_out else "")


def _solved(
    values: Mapping[str, Any], rules: Sequence[Rule]
) -> tuple[Recipe | None, list[Problem], dict[KeyPath, object]]:
    """(the recipe of ``values`` with all solutions, None if there are not enough; every problem; the solutions).

    Where a problem has a known solution, it is tried, so that what it hides is found as well.
    """
    problems: dict[tuple[KeyPath, str], Problem] = {}
    tried: dict[KeyPath, object] = {}
    for _ in range(ROUNDS):
        recipe, found = _judged(_changed(values, tried), rules)
        problems |= {(problem.path, problem.says): problem for problem in found if problem.path not in tried}
        ways = [way for problem in found for way in _possible(problem, values, tried)[:1]]
        if not ways:
            break
        tried |= {path: value for way in reversed(ways) for path, value in way.items()}
    return recipe, list(problems.values()), tried


def _changed(values: Mapping[str, Any], changes: Mapping[KeyPath, object]) -> dict[str, Any]:
    """A copy of ``values`` with ``changes``."""
    changed = copy.deepcopy(dict(values))
    for path, value in changes.items():
        assign(changed, path, value)
    return changed


def _possible(
    problem: Problem, values: Mapping[str, Any], tried: Mapping[KeyPath, object]
) -> list[Mapping[KeyPath, object]]:
    """The ways to solve ``problem`` that change nothing that was already ``tried``, nor what ``values`` have not."""
    preset = {key for key in PresetSection.model_fields if key != "input"}
    network = values.get("network")
    closed = {"layers"} if isinstance(network, Mapping) and "preset" in network else preset

    def is_open(path: KeyPath) -> bool:
        return path not in tried and not (path[0] == "network" and path[1] in closed)

    return [way for way in problem.ways if all(map(is_open, way))]


def _judged(values: dict[str, Any], rules: Sequence[Rule]) -> tuple[Recipe | None, list[Problem]]:
    """(the recipe, None if there are problems; every problem).

    What was probably meant by a misspelled name takes its place, so that its value is judged as well.
    """
    problems: list[Problem] = []
    for _ in range(ROUNDS):
        try:
            recipe: Recipe | None = Recipe.model_validate(values)
            found = []
        except ValidationError as error:
            recipe, found = None, problems_of(error)
        repaired = [problem for problem in found if _repair(values, problem)]
        problems += repaired
        if not repaired:
            break
    problems += found
    sections = dict(recipe) if recipe is not None else _sections(values)
    problems += [as_problem(error) for error in problems_between((*RULES, *rules), sections)]
    return (None if problems else recipe), problems


def _repair(values: dict[str, Any], problem: Problem) -> bool:
    """Whether a misspelled name in ``values`` was replaced by what was meant, or an unknown key was taken away."""
    if not problem.path or not (problem.unknown_key or problem.meant):
        return False
    *above, last = problem.path
    parent: Any = values
    for part in above:
        parent = parent[part]
    if not problem.unknown_key:
        parent[last] = problem.meant
        return True
    value = parent.pop(last)
    if problem.meant and problem.meant not in parent:
        parent[problem.meant] = value
    return True


def _sections(values: Mapping[str, Any]) -> dict[str, Any]:
    """{name: section} of every section of ``values`` that is right for itself."""
    found, values = {}, with_loss_of_task(values)
    for name, field in Recipe.model_fields.items():
        key = field.alias or name
        if key not in values and not field.is_required():
            found[name] = field.default
        elif key in values:
            with contextlib.suppress(ValidationError):
                found[name] = TypeAdapter[Any](field.annotation or Any).validate_python(values[key])
    return found


def _placed(problems: Iterable[Problem], origin: Origin) -> list[str]:
    """The sentences of ``problems`` with their places, those of the file in the order of its lines."""

    def order(problem: Problem) -> tuple[bool, int]:
        path = origin.written(problem.path)
        return origin.is_overridden(path), origin.line(path)

    return [f"{origin.where(problem.path)}: {problem.says}" for problem in sorted(problems, key=order)]
