"""What is known of the chips: their numbers with a source each, and the rules that follow from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from deploytool.chip import memory as memory_module
from deploytool.chip.chips import Chip, chip_named, chip_names
from deploytool.ir.spec.rule import Level
from deploytool.ir.spec.verify import REQUIRED_BY, RULES
from manual.markdown import definitions, listed, table

SOURCES: Final = {
    "lib": "observed on the vendor's own library (samna 0.7.1)",
    "sinabs": "read or run in sinabs 3.1.3",
    "doc": "the vendor's documentation",
    "guess": "inferred, and never seen on silicon",
}


def overview() -> str:
    """The chips by name, and what the sources of their numbers are called."""
    rows = [(f"`{name}`", chip_named(name).title, f"{len(chip_named(name).cores)}") for name in chip_names()]
    sources = table(("Source", "Meaning"), [(f"`{name}`", meaning) for name, meaning in SOURCES.items()])
    return f"{table(('Name', 'Chip', 'Cores'), rows)}\n{sources}"


def cores() -> str:
    """The cores of every chip."""
    return _by_chip(_cores)


def limits() -> str:
    """Every other number of every chip."""
    return _by_chip(_limits)


def rules() -> str:
    """Every rule of the chips, with their numbers in it, then those of networks and integers."""
    chips = [chip_named(name) for name in chip_names()]
    mapped = f"### {listed([chip.title for chip in chips], 'and')}\n\n{definitions(_rules(Level.MAPPED, chips))}"
    others = (
        f"### Rules of {REQUIRED_BY[level]}\n\n{definitions(_rules(level))}"
        for level in (Level.INTEGER, Level.EXECUTABLE)
    )
    return "\n".join([mapped, *others])


def memory() -> str:
    """How the memory of a layer is computed: the docstring of the module that does."""
    return "\n\n".join((memory_module.__doc__ or "").split("\n\n")[1:])


def _by_chip(text_of: Callable[[Chip], str]) -> str:
    """A section with ``text_of`` for each chip; chips of which it says the same share one."""
    groups: dict[str, list[Chip]] = {}
    for chip in map(chip_named, chip_names()):
        groups.setdefault(text_of(chip), []).append(chip)
    return "\n".join(f"### {listed([chip.title for chip in chips], 'and')}\n\n{text}" for text, chips in groups.items())


def _rules(level: Level, chips: Sequence[Chip] = ()) -> Iterator[tuple[str, str]]:
    for rule in (rule for rule in RULES if rule.level == level):
        needs: dict[str, list[str]] = {}
        for chip in chips or (None,):
            needs.setdefault(rule.need(chip), []).append(chip.title if chip else "")
        said = [f"{need} ({listed(titles, 'and')})" if len(needs) > 1 else need for need, titles in needs.items()]
        yield f"`{rule.id}`{{#rule-{rule.id}}}", f"Need {'; '.join(said)}.\n\n*{rule.hint}*"


def _cores(chip: Chip) -> str:
    """One row for each kind of core."""
    kinds: dict[tuple[int, int, int, bool], list[str]] = {}
    for number, core in enumerate(chip.cores):
        words = core.kernel_words, core.neuron_words, core.bias_words, core.parallel_lanes
        kinds.setdefault(words, []).append(str(number))
    rows = [
        (", ".join(cores), f"{kernel:,}", f"{neuron:,}", f"{bias:,}", "yes" if lanes else "no")
        for (kernel, neuron, bias, lanes), cores in kinds.items()
    ]
    headings = ("Cores", "Kernel words (8 bit)", "Neuron words (16 bit)", "Bias words (16 bit)", "Parallel lanes")
    return f"Source of the memories: {chip.sources['cores']}.\n\n{table(headings, rows)}"


def _limits(chip: Chip) -> str:
    """Every other number of the chip, with its source."""
    rows = []
    for field in dataclasses.fields(chip):
        value = getattr(chip, field.name)
        if field.name in ("name", "title", "cores", "sources"):
            continue
        rows.append((f"`{field.name}`", _shown(value), chip.sources[field.name]))
    return table(("Number", "Value", "Source"), rows)


def _shown(value: object) -> str:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return ", ".join(f"{key} {_shown(each)}" for key, each in dataclasses.asdict(value).items())
    if isinstance(value, bool):
        return "yes" if value else "not known"
    if isinstance(value, tuple):
        return ", ".join("x".join(map(str, each)) if isinstance(each, tuple) else str(each) for each in value)
    return "not known" if value is None else f"{value:,}"
