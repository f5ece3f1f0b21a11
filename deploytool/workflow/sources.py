"""What a person names on the command line, found: networks, samples to run, pins."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from deploytool.base.digest import digest
from deploytool.base.errors import ArtifactError, InputError, UsageError
from deploytool.chip.chips import CHIPS, Chip
from deploytool.ir.events import EventStream, Shape
from deploytool.ir.graph import Delay, Graph, Reset, Spike
from deploytool.recipe import DataSection, Recipe, asked, load_recipe
from deploytool.store.artifact import KINDS, Store
from deploytool.store.files import NETWORK

CALIBRATION_PARTS: Final = 3
"""Of so many calibration samples one is searched on; the others decide what is kept."""


@dataclass(frozen=True)
class SampleSource:
    """Samples to run: ``load(shape)`` reads them, ``fingerprint`` names their content, ``says`` what was asked."""

    says: Mapping[str, Any]
    fingerprint: str
    load: Callable[[Shape], Sequence[EventStream]]


def dataset(section: DataSection, seed: int) -> SampleSource:
    """The test samples of a recipe's data set."""
    from deploytool.data.sets.table import fingerprint, load_events

    return SampleSource(
        section.model_dump(mode="json", exclude={"root"}), fingerprint(section, seed),
        lambda _: load_events(section, seed).test,
    )  # fmt: skip


def samples(data: str, root: str | None, denoise_ms: float | None, count: int | None) -> SampleSource:
    """The test samples of the data set called ``data``, or else the event file or folder of that name.

    Raises UsageError for options that only a data set takes, InputError when there is neither.
    """
    from deploytool.data.sets.table import DATASETS

    if data in DATASETS:
        section = asked(DataSection, set=data, root=root, denoise_ms=denoise_ms, test_samples=count)
        return dataset(section, seed=0)
    path = Path(data)
    if not path.exists():
        raise InputError(
            f"--data {data}", "neither a data set nor a file or folder",
            f"one of {', '.join(DATASETS)}, a .npy or .bin file of events, or a folder of them",
        )  # fmt: skip
    if root or denoise_ms or count:
        raise UsageError(
            "--root, --denoise-ms, --samples", f"given with the file {data}", "a data set's name in --data"
        )
    return _files(path)


def calibration(section: DataSection, seed: int, count: int) -> SampleSource:
    """``CALIBRATION_PARTS * count`` training samples of a data set, evenly over its classes; no test sample.

    Raises UsageError, when they are loaded, for more than there are.
    """
    from deploytool.data.samples import even_subset
    from deploytool.data.sets.table import fingerprint, load_events

    def training(_: Shape) -> Sequence[EventStream]:
        found, wanted = load_events(section, seed).train, CALIBRATION_PARTS * count
        if wanted > len(found):
            raise UsageError(
                "calibration samples", f"found {count}", f"at most {len(found) // CALIBRATION_PARTS}",
                f"There are {len(found)} training samples, and for each that is searched on two more decide.",
            )  # fmt: skip
        return found.take(even_subset(found.labels, wanted, seed))

    says = {**section.model_dump(mode="json", exclude={"root"}), "training_samples_of": count}
    return SampleSource(says, fingerprint(section, seed), training)


def asked_calibration(quantise: str, data: str | None, root: str | None, count: int) -> SampleSource | None:
    """The calibration samples of the data set called ``data``; None when ``quantise`` is "plain".

    Raises UsageError for another way to quantise, a missing data set, or one that is not used.
    """
    if quantise not in ("plain", "calibrated"):
        raise UsageError("--quantise", f"found {quantise!r}", "plain or calibrated")
    if quantise == "plain":
        if data or root:
            raise UsageError("--data, --root", "given with --quantise plain", "--quantise calibrated")
        return None
    from deploytool.data.sets.table import DATASETS

    if data not in DATASETS:
        found = f"found --data {data}" if data else "no --data"
        raise UsageError("--quantise calibrated", found, f"a data set with a training part: {', '.join(DATASETS)}")
    return calibration(DataSection(set=data, root=root), seed=0, count=count)


def _files(path: Path) -> SampleSource:
    from deploytool.data.formats.files import event_files, read_events

    content = [(str(file.relative_to(path)), _sha256(file)) for file in event_files(path)]
    return SampleSource({"files": path.name}, digest(content), lambda shape: read_events(path, shape))


def _sha256(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(str(file), f"cannot be read ({error.strerror})", "a file of events") from None


@dataclass(frozen=True)
class Unsaid:
    """What a file leaves unsaid, and a person says: ``shape`` C,H,W of a module's input, ``recipe`` of a state_dict."""

    reset: str | None = None
    floor: float | None = None
    dt_ms: float | None = None
    shape: str | None = None
    recipe: Path | None = None
    delay_us: int | None = None


NOTHING: Final = Unsaid()
OPTIONS: Final = {
    "reset": "--reset", "floor": "--floor", "dt_ms": "--dt-ms", "shape": "--shape", "recipe": "--network",
    "delay_us": "--delay-us",
}  # fmt: skip
TAKES: Final[Mapping[str, tuple[str, ...]]] = {
    "a trained model": (),
    "a .nir file": ("reset", "floor", "dt_ms", "delay_us"),
    "a .onnx file": ("reset", "floor"),
    "a state_dict": ("recipe",),
    "a module": ("shape",),
}
"""What each kind of source can leave unsaid; it says the rest itself."""


def refuse_said(kind: str, unsaid: Unsaid) -> None:
    """Raises UsageError for the parts of ``unsaid`` that a source of this ``kind`` says itself."""
    given = [
        option for name, option in OPTIONS.items() if getattr(unsaid, name) is not None and name not in TAKES[kind]
    ]
    if given:
        takes = ", ".join(OPTIONS[name] for name in TAKES[kind]) or "none of these options"
        raise UsageError(", ".join(given), f"given with {kind}, which says it itself", f"{takes} with {kind}")


def read_network(source: str, unsaid: Unsaid) -> Graph:
    """The graph in a .nir, .onnx or .pt file, or from a function of the user's, ``package.module:function``.

    Raises UsageError when something is still unsaid, or contradicts the file.
    """
    if unsaid.reset not in (None, "subtract", "zero"):
        raise UsageError("--reset", f"found {unsaid.reset!r}", "subtract or zero")
    rule = cast("Reset | None", unsaid.reset)
    path = Path(source)
    if not path.is_file() and ":" in source:
        return _module(source, unsaid)
    if not path.is_file():
        need = "a model, a .nir, .onnx or .pt file, or package.module:function"
        raise ArtifactError(source, "no such file or artifact", need)
    if path.suffix == ".onnx":
        from deploytool.convert.onnx import read_onnx

        refuse_said("a .onnx file", unsaid)
        return read_onnx(path, reset=rule or "subtract", floor=unsaid.floor)
    if path.suffix in (".pt", ".pth"):
        return _state_dict(path, unsaid)
    return _nir(path, rule, unsaid)


def _nir(path: Path, rule: Reset | None, unsaid: Unsaid) -> Graph:
    from deploytool.convert.nir import read_nir

    refuse_said("a .nir file", unsaid)
    graph = read_nir(path, rule, unsaid.floor, unsaid.dt_ms, unsaid.delay_us)
    for name in graph.of_type(Spike):
        stated = cast("Spike", graph.nodes[name]).reset
        if rule not in (None, stated):
            raise UsageError(f"{path}: node {name!r}", f"states reset {stated}", f"--reset {stated}, or leave it out")
    plain = partial(read_nir, path, rule, dt_ms=unsaid.dt_ms, delay_us=unsaid.delay_us)
    if idle := [option for option, differs in _differences(graph, unsaid, plain) if differs]:
        found = f"{idle[0]} changes nothing: the file says otherwise, or has nothing that it is about"
        raise UsageError(str(path), found, f"no {idle[0]}")
    return graph


def _differences(graph: Graph, unsaid: Unsaid, plain: Callable[[], Graph]) -> Iterator[tuple[str, bool]]:
    """(option, whether ``graph`` is not what it asked for); ``plain`` reads the graph without a floor."""
    if unsaid.dt_ms is not None:
        yield "--dt-ms", graph.dt_ms != unsaid.dt_ms
    if unsaid.delay_us is not None:
        delays = [cast("Delay", graph.nodes[name]).delay_us for name in graph.of_type(Delay)]
        yield "--delay-us", not any(np.array_equal(delay, unsaid.delay_us) for delay in delays)
    if unsaid.floor is not None:
        floors = {cast("Spike", graph.nodes[name]).floor for name in graph.of_type(Spike)}
        yield "--floor", unsaid.floor not in floors and plain().digest == graph.digest


def _module(source: str, unsaid: Unsaid) -> Graph:
    from deploytool.convert.torch.modules import from_module, load_builder

    refuse_said("a module", unsaid)
    if unsaid.shape is None:
        raise UsageError(source, "no input shape", "--shape C,H,W")
    shape = parse_shape(unsaid.shape)
    return from_module(load_builder(source)(), shape)


def _state_dict(path: Path, unsaid: Unsaid) -> Graph:
    from deploytool.convert.model import from_state_dict
    from deploytool.convert.torch.modules import read_state_dict

    refuse_said("a state_dict", unsaid)
    if unsaid.recipe is None:
        raise UsageError(str(path), "weights without their layers", "--network RECIPE, whose [network] they belong to")
    recipe = load_recipe(unsaid.recipe)
    return from_state_dict(read_state_dict(path), recipe.network, recipe.constraints)


def geometry(store: Store, source: str) -> Graph:
    """The graph of a network whose reset rule does not matter: a graph in the store, a .nir file, or a recipe's."""
    from deploytool.convert.nir import read_nir

    if source.endswith(".toml"):
        return recipe_geometry(load_recipe(Path(source)))
    if Path(source).is_file():
        return read_nir(Path(source), reset="subtract", dt_ms=1.0, delay_us=1)
    return read_nir(store.get(source, "graph").path / NETWORK)


def recipe_geometry(recipe: Recipe) -> Graph:
    """The graph of the network that ``recipe`` trains, before it has weights.

    Raises RecipeError for shapes that do not match, UnsupportedError for a network that only training can run.
    """
    from deploytool.convert.model import blank_weights, require_deployable, to_graph

    require_deployable(recipe.train)
    return to_graph(blank_weights(recipe.network), recipe.network, recipe.constraints)


def is_artifact(source: str) -> bool:
    """True when ``source`` looks like an artifact: a folder, ``kind-prefix`` or ``kind@latest``."""
    kind = source.partition("@")[0].partition("-")[0]
    return Path(source).is_dir() or (kind in KINDS and not Path(source).is_file())


def chip_named(name: str) -> Chip:
    """The chip called ``name``. Raises UsageError, listing the chips there are."""
    if name not in CHIPS:
        raise UsageError("chip", f"found {name!r}", f"one of {', '.join(CHIPS)}")
    return CHIPS[name]


def parse_pins(pins: Iterable[str]) -> dict[str, int]:
    """{layer: core} from ``layer=core`` texts."""
    parsed: dict[str, int] = {}
    for pin in pins:
        layer, _, core = pin.partition("=")
        if not layer or not core.isdecimal():
            raise UsageError(f"--pin {pin}", "not of the form LAYER=CORE", "for example --pin conv1=0")
        if layer in parsed:
            raise UsageError(f"--pin {pin}", f"{layer} is pinned to core {parsed[layer]} already", "every layer once")
        parsed[layer] = int(core)
    return parsed


def parse_shape(text: str) -> Shape:
    """(C, H, W) from ``C,H,W``."""
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"--shape {text}", "not three numbers", "C,H,W, for example --shape 2,34,34")
    c, h, w = (int(part) for part in parts)
    return c, h, w


def write_file(path: Path, content: bytes) -> None:
    """Writes ``content`` to ``path`` at once: the file is there whole, or as it was before."""
    if not path.name or path.is_dir():
        raise ArtifactError(f"--output {path}", "a folder", "the name of a file")
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        raise ArtifactError(str(path), f"cannot be written ({error.strerror})", "a writable place") from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
