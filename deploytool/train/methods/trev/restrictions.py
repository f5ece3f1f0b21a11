"""The limits of trev, and why no chip runs a T-RevSNN."""

from __future__ import annotations

import math
from collections.abc import Iterator

from deploytool.base.errors import RecipeError, UnsupportedError
from deploytool.recipe import (
    AddLayer,
    BatchNormLayer,
    ConstraintsSection,
    ConvLayer,
    NetworkSection,
    SpikeLayer,
    TrainSection,
)
from deploytool.recipe.constraints import UNQUANTISED
from deploytool.recipe.network import INPUT


def restrictions(network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection) -> Iterator[RecipeError]:
    """Everything in a recipe that cannot be trained by undoing time steps."""
    return no_t_revsnn(network, constraints, spec) if spec.trev.on else irreversible(network, constraints)


def undeployable(spec: TrainSection) -> UnsupportedError | None:
    """Why no chip can run what ``spec`` trains: turn-on neurons exist only on the machine that trains it."""
    if not spec.trev.on:
        return None
    return UnsupportedError(
        "train.trev.on",
        f"{', '.join(spec.trev.on)} keep potentials that leak at every time step and are never reset",
        "neurons that change only on events, because events are all that drives the chip",
        "Leave it empty: trev then saves memory on integrate-and-fire neurons, which the chip has.",
    )


def no_t_revsnn(network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection) -> Iterator[RecipeError]:
    """Everything in a recipe that is not possible for a T-RevSNN."""
    yield from _limited(constraints)
    where = "train.trev.on"
    spikes = [name for name, layer in network.named_layers() if isinstance(layer, SpikeLayer)]
    if unknown := [name for name in spec.trev.on if name not in spikes]:
        yield RecipeError(where, f"names {unknown[0]!r}", f"spike layers: {', '.join(spikes)}")
    if network.ends_in_spikes:
        need = "a conv or linear layer as the last: the answer of each step is its output, not spikes"
        yield RecipeError("network.layers", "the last layer is a spike layer", need)
    yield from _uncut(network, spec)
    yield from _unencoded(network, spec)
    if constraints.weight_bits != UNQUANTISED:
        need = f"{UNQUANTISED}: a T-RevSNN exchanges potentials that are never reset, which no chip has"
        found = f"found {constraints.weight_bits}"
        yield RecipeError("constraints.weight_bits", found, need, ways=({"constraints.weight_bits": UNQUANTISED},))


def _uncut(network: NetworkSection, spec: TrainSection) -> Iterator[RecipeError]:
    """Layers that take the output of another stage than the one before, which a step does not keep."""
    ends = (spec.trev.stem, *spec.trev.on)
    reached = {INPUT}
    for name, sources in network.sources().items():
        if far := [source for source in sources if source not in reached]:
            need = "layers of its own stage, or the end of the stage before"
            yield RecipeError("network.layers", f"{name!r} takes {far[0]!r}", need)
            return
        reached = {name} if name in ends else {*reached, name}


def _unencoded(network: NetworkSection, spec: TrainSection) -> Iterator[RecipeError]:
    """What is wrong with the stem."""
    layers = dict(network.named_layers())
    names, stem = list(layers), spec.trev.stem
    if stem is None:
        return
    first = next((name for name in names if name in spec.trev.on), names[-1])
    before = names[: names.index(first)]
    if stem not in before:
        yield RecipeError("train.trev.stem", f"names {stem!r}", f"a layer before {first!r}: {', '.join(before)}")
    elif spec.trev.grouped and not isinstance(layers[stem], ConvLayer):
        found = f"names {stem!r} ({layers[stem].type})"
        yield RecipeError("train.trev.stem", found, "a conv layer, whose features are grouped with train.trev.grouped")


def irreversible(network: NetworkSection, constraints: ConstraintsSection) -> Iterator[RecipeError]:
    """Everything in a recipe that prevents undoing time steps of integrate-and-fire neurons."""
    yield from _limited(constraints)
    if constraints.floor is not None and constraints.floor != -float("inf"):
        yield RecipeError(
            "constraints.floor",
            f"found {constraints.floor}",
            "-inf with trev: a clamp cannot be inverted",
            ways=({"constraints.floor": -math.inf},),
        )
    if constraints.reset != "subtract":
        yield RecipeError(
            "constraints.reset",
            f"found {constraints.reset!r}",
            "'subtract' with trev",
            ways=({"constraints.reset": "subtract"},),
        )
    if constraints.decay != 1:
        yield RecipeError(
            "constraints.decay",
            f"found {constraints.decay}",
            "1 with trev and no train.trev.on",
            ways=({"constraints.decay": 1.0},),
        )
    if not network.ends_in_spikes:
        yield RecipeError("network.layers", "a last layer that never fires", "a spike layer with trev")
    before = INPUT
    for name, layer in network.named_layers():
        if isinstance(layer, BatchNormLayer | AddLayer) or network.sources()[name] != (before,):
            yield RecipeError("network.layers", f"{name!r} ({layer.type})", "one chain without batchnorm with trev")
            return
        before = name


def _limited(constraints: ConstraintsSection) -> Iterator[RecipeError]:
    if constraints.fan_in is not None:
        yield RecipeError("constraints.fan_in", "given with method trev", "another method, or no limit")
