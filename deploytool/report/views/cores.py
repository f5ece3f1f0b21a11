"""Views of what is on the cores of a chip: a fit, a program, and the map of the cores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from markupsafe import Markup

from deploytool.base.arrays import format_shape
from deploytool.chip.chips import Chip
from deploytool.ir.program import Program
from deploytool.report.figures.placement import shortened
from deploytool.report.figures.svg import element, label
from deploytool.report.network import CoreUse, cores
from deploytool.report.views.frame import Cell, bar, items, paragraph, table, view

COLUMNS: Final = 3
WIDTH: Final = 110
HEIGHT: Final = 62
GAP: Final = 8
LETTERS: Final = 14
LEGEND: Final = "Bars: kernel memory, neuron memory. Pale: words that the rounding to powers of two takes."
"""Letters of a layer's name that have room on a core."""


def fit_view(title: str, found: Mapping[str, Any], program: Program, chip: Chip) -> str:
    """The answer ``found`` of `check --json` about the sizes of ``program``: each layer's memory beside its core's."""
    refused = [f"{each['command']}: {each['says']}" for each in found["refused_later"]]
    rows = [
        (layer["name"], "none" if layer["core"] is None else str(layer["core"]), *_memories(layer, chip))
        for layer in found["layers"]
    ]
    return view(
        title,
        items("Problems", [f"{each['says']} {each['hint']}".strip() for each in found["issues"]]),
        items("Refused later", refused),
        items("Suggestions", [each["says"] for each in found["suggestions"]], "ol"),
        items("Warnings", found["warnings"]),
        items("Cost", [found["cost"][key] for key in ("energy", "busiest_core", "latency")] if "cost" in found else ()),
        table(("layer", "core", "kernel memory (words)", "neuron memory (words)"), rows),
        core_map(program, chip) if program.core_of else None,
    )


def _memories(layer: Mapping[str, Any], chip: Chip) -> tuple[Markup, Markup]:
    """The bars of the kernel and the neuron memory: of its core, or of the largest core if it has none."""
    on = [chip.cores[layer["core"]]] if layer["core"] is not None else list(chip.cores)
    kernel, neuron = max(core.kernel_words for core in on), max(core.neuron_words for core in on)
    return (
        _words(layer["kernel_words"], 1 << layer["kernel_bits"], kernel),
        _words(layer["neuron_words"], 1 << layer["neuron_bits"], neuron),
    )


def _words(held: int, taken: int, whole: int) -> Markup:
    return bar(held, taken, whole, f"{taken:,} of {whole:,}")


def program_view(title: str, program: Program, chip: Chip | None, warnings: list[str]) -> str:
    """The layers of ``program``, and the map of the cores of its ``chip``; None is the simulator."""
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            format_shape(layer.out_shape),
            sum(int(synapses.weights.size) for synapses in layer.synapses),
            ", ".join(route.to for route in layer.routes) or "output",
            *([str(program.core_of[name])] if chip else []),
        )
        for name, layer in program.layers.items()
    ]
    columns = ("layer", "map (C,\u00a0H,\u00a0W)", "weights", "to", *(["core"] if chip else []))
    drawn = core_map(program, chip) if chip else None
    return view(title, drawn, table(columns, rows), items("Warnings", warnings))


def core_map(program: Program, chip: Chip) -> Markup:
    """The cores of ``chip``, each with its layer of ``program`` and how much of its two memories that takes."""
    used = cores(program, chip)
    rows = -(-len(used) // COLUMNS)
    width, height = COLUMNS * (WIDTH + GAP) - GAP, rows * (HEIGHT + GAP) - GAP
    alt = ", ".join(f"core {use.number}: {use.layer or 'free'}" for use in used)
    drawn = element(
        "svg",
        *(_core(use, index) for index, use in enumerate(used)),
        viewBox=f"-1 -1 {width + 2} {height + 2}",
        width=width + 2,
        role="img",
        aria_label=f"The cores of {chip.title}. {alt}",
    )
    return element("div", drawn, paragraph(LEGEND, quiet=True))


def _core(use: CoreUse, index: int) -> Markup:
    x, y = index % COLUMNS * (WIDTH + GAP), index // COLUMNS * (HEIGHT + GAP)
    facts = [f"{memory.title} memory: {memory.held:,} of {memory.total:,} words" for memory in use.memories]
    drawn = [
        element("title", f"core {use.number}: {use.layer or 'free'}. {'; '.join(facts)}"),
        element("rect", x=x, y=y, width=WIDTH, height=HEIGHT, rx=5, class_="dt-box"),
        label(f"core {use.number}", x + 8, y + 32, class_="dt-quiet"),
        label(shortened(use.layer or "free", LETTERS), x + 8, y + 16, class_="dt-name" if use.layer else "dt-quiet"),
    ]
    for row, memory in enumerate(use.memories):
        top, room = y + 41 + 9 * row, WIDTH - 16
        drawn += [
            element("rect", x=x + 8, y=top, width=room, height=5, class_="dt-room"),
            element("rect", x=x + 8, y=top, width=room * memory.reserved / memory.total, height=5, class_="dt-lost"),
            element("rect", x=x + 8, y=top, width=room * memory.held / memory.total, height=5, class_="dt-held"),
        ]
    return element("g", *drawn)
