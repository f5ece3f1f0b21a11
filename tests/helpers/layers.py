"""Layers from flat arguments: each goes to the layer, its synapses, its neurons or their leak, whichever has it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from deploytool.base.arrays import Array, Shape
from deploytool.ir.neurons import Leak, Neurons
from deploytool.ir.program import Layer, Route, Synapses


def make_layer(
    weights: Array,
    threshold: float | Array,
    in_shape: Shape,
    out_shape: Shape,
    routes: tuple[Route, ...] = (),
    **others: Any,
) -> Layer:
    """A layer of one set of ``weights``, with any of the fields of its parts in ``others``."""
    return changed(Layer((Synapses(weights, in_shape, out_shape),), Neurons(threshold), routes), **others)


def changed(layer: Layer, **changes: Any) -> Layer:
    """``layer`` with ``changes`` to any of the fields of its parts; to those of the first of its synapses."""

    def of(kind: type) -> dict[str, Any]:
        return {field.name: changes.pop(field.name) for field in fields(kind) if field.name in changes}

    leak, neurons = of(Leak), of(Neurons)
    if leak:
        known = {} if layer.neurons.leak is None else {"leak": layer.neurons.leak}
        found = replace(known["leak"], **leak) if known else Leak(**leak) if leak.get("tau_ms") is not None else None
        neurons["leak"] = found
    first = replace(layer.synapses[0], **of(Synapses))
    layer = replace(layer, synapses=(first, *layer.synapses[1:]), neurons=replace(layer.neurons, **neurons))
    return replace(layer, **changes)
