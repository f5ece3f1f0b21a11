"""The network on its cores: a box per layer with the memories of its core, and the flow of spikes between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from deploytool.ir.program import INPUT, Program
from deploytool.report.figures import svg
from deploytool.report.network import CoreUse, Memory, map_text, pair_text

WIDTH: Final = 360
ROW: Final = 3
"""The maximum number of boxes side by side."""
GAP: Final = 12
BOX: Final = 62
END: Final = 26
"""Height of the boxes of the input and the answer."""
STEP: Final = 34
"""Height of the space between rows, through which the arrows go."""
LETTER: Final = 7.8
"""Approximate width of a letter, in pixels."""
ANSWER: Final = "answer"


@dataclass(frozen=True)
class Box:
    """The place of a layer, of the input or of the answer in the drawing, in pixels."""

    name: str
    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


def placement(program: Program, cores: Sequence[CoreUse]) -> Markup:
    """The drawing of ``program``; each box leads to the row of its layer in the table, and is read with its facts."""
    boxes, height = _laid_out(program)
    used = {core.layer: core for core in cores if core.layer}
    edges = [edge for name in (INPUT, *program.layers) for edge in _edges(program, name, boxes)]
    drawn = [_box(program, boxes[name], used.get(name)) for name in program.layers]
    ends = [_end(boxes[INPUT], f"input {map_text(program.input_shape)}"), _end(boxes[ANSWER], "answer")]
    count = f"{len(program.layers)} layers" if len(program.layers) > 1 else "1 layer"
    return svg.element(
        "svg",
        _arrow_head(),
        *edges,
        *ends,
        *drawn,
        class_="placement",
        viewBox=f"0 0 {WIDTH} {svg.number(height)}",
        width=WIDTH,
        height=height,
        role="group",
        aria_label=f"The network on its cores: {count}",
    )


def ranks(program: Program) -> Mapping[str, int]:
    """{layer: number of layers before it on the longest way from the input}; delayed routes do not count."""
    found = dict.fromkeys(program.layers, 0)
    for name, layer in program.layers.items():
        for route in layer.routes:
            if not route.delay_us:
                found[route.to] = max(found[route.to], found[name] + 1)
    return found


def _laid_out(program: Program) -> tuple[dict[str, Box], float]:
    """({name: box}, height of the drawing): a row per rank, of at most `ROW` boxes each."""
    boxes = {INPUT: Box(INPUT, WIDTH / 4, 0, WIDTH / 2, END)}
    y: float = END + STEP
    rank_of = ranks(program)
    for rank in range(max(rank_of.values(), default=-1) + 1):
        names = [name for name, at in rank_of.items() if at == rank]
        for start in range(0, len(names), ROW):
            row = names[start : start + ROW]
            width = (WIDTH - GAP * (len(row) - 1)) / len(row) if len(row) > 1 else WIDTH * 0.62
            left = (WIDTH - width) / 2 if len(row) == 1 else 0
            for i, name in enumerate(row):
                boxes[name] = Box(name, left + i * (width + GAP), y, width, BOX)
            y += BOX + (STEP if start + ROW >= len(names) else GAP)
    boxes[ANSWER] = Box(ANSWER, WIDTH / 4, y, WIDTH / 2, END)
    return boxes, y + END + 1


def _edges(program: Program, name: str, boxes: Mapping[str, Box]) -> list[Markup]:
    routes = program.input_routes if name == INPUT else program.layers[name].routes
    edges = []
    for route in routes:
        notes = [f"pool {pair_text(route.pool)}"] if route.pool != (1, 1) else []
        notes += ["delayed"] if route.delay_us else []
        edges.append(_edge(boxes[name], boxes[route.to], ", ".join(notes)))
    if name in program.outputs:
        edges.append(_edge(boxes[name], boxes[ANSWER], ""))
    return edges


def _edge(source: Box, target: Box, note: str) -> Markup:
    """An arrow down, around the boxes between if there are any, or back up for a delayed route."""
    start, end = source.y + source.height, target.y - 4
    gap = end - start
    if 0 <= gap <= STEP:
        bend = gap / 2
        way = (
            f"M{_xy(source.middle, start)}C{_xy(source.middle, start + bend)} "
            f"{_xy(target.middle, end - bend)} {_xy(target.middle, end)}"
        )
        label_x, label_y = (source.middle + target.middle) / 2 + 8, (start + end) / 2 + 4
    else:
        side = WIDTH - 4 if gap > 0 else 4
        down, up, half = start + 26, end - 26, (start + end) / 2
        way = f"M{_xy(source.middle, start)}C{_xy(side, down)} {_xy(side, down)} {_xy(side, half)}"
        way += f"S{_xy(side, up)} {_xy(target.middle, end)}"
        label_x, label_y = side - 6 if gap > 0 else side + 6, (start + end) / 2
    anchor = "end" if label_x > WIDTH - 60 else "start"
    content = [svg.element("path", d=way, class_="edge", marker_end="url(#arrow)")]
    if note:
        content.append(svg.label(note, label_x, label_y, anchor, "note"))
    return svg.element("g", *content, data_from=source.name, data_to=target.name, class_="route")


def _xy(x: float, y: float) -> str:
    return f"{svg.number(x)} {svg.number(y)}"


def _end(box: Box, text: str) -> Markup:
    return svg.element(
        "g",
        svg.element("rect", x=box.x, y=box.y, width=box.width, height=box.height, rx=END / 2, class_="end"),
        svg.label(text, box.middle, box.y + 17, "middle", "small"),
    )


def _box(program: Program, box: Box, core: CoreUse | None) -> Markup:
    layer = program.layers[box.name]
    where = f"core {core.number}" if core else f"{sum(s.weights.size for s in layer.synapses):,} weights"
    facts = [f"{box.name} on {where}" if core else f"{box.name}, {where}", f"map {map_text(layer.out_shape)}"]
    bars: list[Markup] = []
    if core:
        for i, memory in enumerate(core.memories):
            bars += _bar(memory, box.x + 10, box.y + 42 + 8 * i, box.width - 20)
            facts.append(f"{memory.title} memory: {memory.held:,} of {memory.total:,} words used by the layer")
    room = int((box.width - 20) / LETTER)
    second = f"{where} · {map_text(layer.out_shape)}"
    return svg.element(
        "a",
        svg.element("title", "; ".join(facts)),
        svg.element("rect", x=box.x, y=box.y, width=box.width, height=box.height, rx=6, class_="box"),
        svg.label(shortened(box.name, room), box.x + 10, box.y + 18, class_="name"),
        svg.label(shortened(second, int(room * 1.3)), box.x + 10, box.y + 34, class_="small"),
        *bars,
        href=f"#layer-{list(program.layers).index(box.name)}",
        class_="core",
        data_layer=box.name,
        aria_label="; ".join(facts),
    )


def _bar(memory: Memory, x: float, y: float, width: float) -> list[Markup]:
    held, lost = width * memory.held / memory.total, width * (memory.reserved - memory.held) / memory.total
    return [
        svg.element("rect", x=x, y=y, width=width, height=5, class_="there"),
        svg.element("rect", x=x, y=y, width=held, height=5, class_="held"),
        svg.element("rect", x=x + held, y=y, width=lost, height=5, class_="lost"),
    ]


def _arrow_head() -> Markup:
    head = svg.element("path", d="M0 0L6 3L0 6Z", class_="head")
    marker = svg.element("marker", head, id="arrow", markerWidth=6, markerHeight=6, refX=5, refY=3, orient="auto")
    return svg.element("defs", marker)


def shortened(text: str, letters: int) -> str:
    """``text``, or its first letters and an ellipsis if it is longer than ``letters``."""
    return text if len(text) <= letters else text[: max(1, letters - 1)] + "…"
