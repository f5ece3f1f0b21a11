"""Sub-networks of T-RevSNN, without shortcuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

from deploytool.base.arrays import Shape
from deploytool.recipe.presets.blocks import conv_layer, head, with_neurons
from deploytool.recipe.presets.preset import Layer, Preset, PresetSection


def trevsnn(_: Shape, options: PresetSection, features: Sequence[int], blocks: int = 2) -> list[Layer]:
    """One stage for each of ``features``. Its last neurons are called on1, on2 ..., which train.trev.on can name.

    A stage halves the map. Then, ``blocks`` times: a 5x5 depthwise convolution, 1x1 to four times the features, 1x1
    back, and another depthwise convolution, each followed by neurons. The blocks have no shortcuts; T-RevSNN's do.
    """
    layers: list[Layer] = []
    for number, out in enumerate(features, start=1):
        depthwise = {**conv_layer(out, 5), "groups": out}
        layers += with_neurons(conv_layer(out, 2, 2) | {"padding": 0}, options.norm)
        for _block in range(blocks):
            for weights in (depthwise, conv_layer(4 * out, 1), conv_layer(out, 1), depthwise):
                layers += with_neurons(weights, options.norm)
        layers[-1] = {"type": "spike", "name": f"on{number}"}
    return [*layers, *head(options)]


TREVSNN: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "trevsnn": Preset(
            "a sub-network of T-RevSNN for small maps, 96-192-384-512, without shortcuts; whole, it has four of 29.8 M",
            partial(trevsnn, features=(96, 192, 384, 512)),
            (3, 32, 32),
            {"classes": 10, "norm": False, "spiking_output": False},
            "T-RevSNN, arXiv 2405.16466",
        ),
    }
)
"""{name: network}."""
