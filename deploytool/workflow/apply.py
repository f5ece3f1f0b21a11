"""The verb check with --apply: the network, or the recipe, with one of the suggestions applied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploytool.base.errors import UsageError
from deploytool.base.files import require_writable, temporary_folder, write_file
from deploytool.chip.chips import Chip, chip_named
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import AvgPool, Conv, Input, Linear, Node, SumPool
from deploytool.recipe import MapSection, Recipe, load_recipe
from deploytool.recipe.toml import read_text
from deploytool.store.artifact import Store
from deploytool.workflow.check import Checked, check
from deploytool.workflow.map import PLAIN
from deploytool.workflow.sources.networks import (
    DEFAULT_CHIP,
    NO_OPTIONS,
    ImportOptions,
    kind_of,
    named_network,
    recipe_geometry,
    refuse_options,
    trained_for,
)

if TYPE_CHECKING:
    from deploytool.map.suggest import Suggestion
    from deploytool.recipe.edit import Edit


@dataclass(frozen=True)
class Applied:
    """The suggestion ``number`` that was applied, the file it was ``written`` to, and how that network is judged."""

    number: int
    suggestion: Suggestion
    written: Path
    checked: Checked

    @property
    def exit_code(self) -> int:
        return self.checked.exit_code

    def as_json(self) -> dict[str, Any]:
        """The report on the written network, what was applied, and where it is."""
        applied = {"number": self.number, **self.suggestion.as_json()}
        return {**self.checked.as_json(), "applied": applied, "written": str(self.written)}


@dataclass(frozen=True)
class _Asked:
    """What was asked: suggestion ``number`` for ``source`` on ``chip``, to be written to ``output``."""

    source: str
    number: int
    output: Path
    chip: Chip
    spec: MapSection


def apply_suggestion(
    store: Store,
    source: str,
    chosen: tuple[int, Path],
    chip: str | None = None,
    spec: MapSection = PLAIN,
    options: ImportOptions = NO_OPTIONS,
) -> Applied:
    """Writes the network that ``source`` names with suggestion ``chosen`` (number, output) applied.

    A recipe is written as a recipe, every other network as NIR. Raises UsageError for a number without suggestion, for
    a file with another suffix, and as `deploytool.workflow.sources.networks.named_network`.
    """
    number, output = chosen
    kind = kind_of(source)
    refuse_options(kind, options)
    suffix = ".toml" if kind == "a recipe" else ".nir"
    if output.suffix.lower() != suffix:
        found = f"the suffix {output.suffix or 'none'}, for {kind}"
        raise UsageError(f"--output {output}", found, f"a file with the suffix {suffix}")
    require_writable(output)
    if kind == "a recipe":
        recipe = load_recipe(Path(source))
        found_chip = chip_named(chip or recipe.constraints.chip)
        pins = {**recipe.map.pins, **spec.pins}
        split = recipe.map.split and spec.split
        asked = _Asked(source, number, output, found_chip, spec.model_copy(update={"pins": pins, "split": split}))
        return _apply_to_recipe(store, recipe, asked)
    network = named_network(store, source, options)
    found_chip = chip_named(chip or trained_for(store, network.artifact) or DEFAULT_CHIP)
    applied = _apply_to_graph(store, network.graph, _Asked(source, number, output, found_chip, spec))
    return replace(applied, checked=replace(applied.checked, originals=network.originals))


def _apply_to_graph(store: Store, graph: Graph, asked: _Asked) -> Applied:
    from deploytool.convert.nir import write_nir
    from deploytool.map.change import apply_all

    suggestion = _chosen(graph, asked)
    with temporary_folder() as folder:
        draft = folder / "network.nir"
        write_nir(apply_all(graph, suggestion.changes), draft)
        write_file(asked.output, draft.read_bytes())
    return _judged(store, suggestion, asked)


def _apply_to_recipe(store: Store, recipe: Recipe, asked: _Asked) -> Applied:
    from deploytool.map.change import apply_all
    from deploytool.recipe.edit import edited

    graph = recipe_geometry(recipe)
    suggestion = _chosen(graph, asked)
    edit = _edit(graph, apply_all(graph, suggestion.changes), bool(suggestion.splits) and not recipe.map.split)
    write_file(asked.output, edited(read_text(Path(asked.source)), edit).encode("utf-8"))
    return _judged(store, suggestion, asked)


def _chosen(graph: Graph, asked: _Asked) -> Suggestion:
    """The suggestion that was asked for. Raises UsageError if there is none with its number."""
    from deploytool.map.compile import check as check_fit

    report = check_fit(graph, asked.chip, asked.spec.pins, asked.spec.split)
    where, count = f"--apply {asked.number}", len(report.suggestions)
    if report.fits:
        raise UsageError(where, f"{asked.source} fits {asked.chip.name}, so nothing is suggested", "no --apply")
    if not count:
        found = f"check has no suggestion for {asked.source}"
        raise UsageError(where, found, "a network with a suggestion", f"Run deploytool check {asked.source}.")
    if not 1 <= asked.number <= count:
        need = "1, the only one" if count == 1 else f"1 to {count}"
        raise UsageError(where, f"no suggestion {asked.number} for {asked.source}", need)
    return report.suggestions[asked.number - 1]


def _judged(store: Store, suggestion: Suggestion, asked: _Asked) -> Applied:
    split = asked.spec.split or bool(suggestion.splits)
    checked = check(store, str(asked.output), asked.chip.name, asked.spec.model_copy(update={"split": split}))
    return Applied(asked.number, suggestion, asked.output, checked)


def _edit(before: Graph, after: Graph, allow_splits: bool) -> Edit:
    """The edit of a recipe that makes the network ``before`` the network ``after``."""
    from deploytool.recipe.edit import Edit

    layers: dict[str, dict[str, Any]] = {}
    pools, values = {}, dict[tuple[str, str], Any]()
    for name, node in after.nodes.items():
        if name not in before.nodes:
            assert isinstance(node, SumPool)  # the only kind of node that a change inserts
            pools[name] = (after.targets(name)[0], node.kernel[0])
        elif isinstance(node, Input) and isinstance(old := before.nodes[name], Input) and node.shape != old.shape:
            values["network", "input"] = list(node.shape)
            values["data", "size"] = list(node.shape[1:])
        elif changes := dict(_differences(before.nodes[name], node)):
            layers[name] = changes
    if allow_splits:
        values["map", "split"] = True
    return Edit(layers, pools, values)


def _differences(before: Node, after: Node) -> Iterator[tuple[str, Any]]:
    """(key of the layer, new value) for what the recipe of ``after`` states differently."""
    match before, after:
        case Linear(), Linear() if len(before.weight) != len(after.weight):
            yield "out", len(after.weight)
        case Conv(), Conv():
            stated = _conv_values(before)
            yield from ((key, value) for key, value in _conv_values(after).items() if value != stated[key])
        case (SumPool() | AvgPool(), SumPool() | AvgPool()) if before.kernel != after.kernel:
            yield "kernel", after.kernel[0]


def _conv_values(node: Conv) -> dict[str, Any]:
    """What a recipe states of a convolution, as far as suggestions change it."""
    pairs = {"kernel": node.weight.shape[2:], "stride": node.stride, "padding": node.padding}
    return {"out": len(node.weight), **{key: _short(pair) for key, pair in pairs.items()}}


def _short(pair: tuple[int, ...]) -> int | list[int]:
    """A pair as a recipe states it: one number if both are equal."""
    return pair[0] if pair[0] == pair[1] else list(pair)
