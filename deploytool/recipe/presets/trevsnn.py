"""Sub-networks of T-RevSNN. With weights of their own at every time step, four of them are the network of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from deploytool.base.arrays import Shape
from deploytool.recipe.presets.blocks import conv_layer, mean_of_maps
from deploytool.recipe.presets.preset import Layer, Preset, PresetSection


def trevsnn(shape: Shape, options: PresetSection, features: Sequence[int]) -> list[Layer]:
    """Two convolutions that encode the input, and four stages of two blocks, the last neurons of which are on1 .. on4.

    The second convolution, "stem2", is the last of [train.trev] `stem`. Stages 2 and 3 halve the map by 3x3
    convolutions, stage 4 keeps it with 1x1. All time steps share the second half of the second block of every stage,
    and the classifier, which reads the mean of every map of on4. ``options.norm`` are batch norms between stages, and
    ``options.width`` is a factor on ``features``.
    """
    features = [max(1, round(options.width * each)) for each in features]
    layers = [
        {**conv_layer(features[0], 7, 2), "name": "stem1"},
        {**conv_layer(features[0], 3, 2), "name": "stem2", "direct": True},
    ]
    before = "stem2"
    for number, out in enumerate(features, start=1):
        if number > 1:
            down = conv_layer(out, 3, 2) if number < len(features) else conv_layer(out, 1)
            before = f"down{number}"
            layers.append({**down, "name": before})
            if options.norm:
                before = f"down{number}_bn"
                layers.append({"type": "batchnorm", "name": before})
        for which in (1, 2):
            name = f"stage{number}_block{which}"
            layers += block(name, out, before, shared=which == 2)
            before = f"{name}_add"
        layers.append({"type": "spike", "name": f"on{number}"})
    classifier = {"type": "linear", "out": options.classes, "shared": True}
    return [*layers, mean_of_maps(layers, shape, options), {"type": "flatten"}, classifier]


def block(name: str, out: int, before: str, shared: bool = False) -> list[Layer]:
    """A block of ``out`` features with a shortcut from the layer ``before`` it: spikes, 5x5 depthwise, 1x1 to four
    times the features, spikes, 1x1 back, and another depthwise convolution.

    Time steps may have ``shared`` weights after the second spikes.
    """
    depthwise = {**conv_layer(out, 5), "groups": out}
    return [
        {"type": "spike", "name": f"{name}_spike1"},
        {**depthwise, "name": f"{name}_depth1"},
        {**conv_layer(4 * out, 1), "name": f"{name}_wide", "direct": True},
        {"type": "spike", "name": f"{name}_spike2"},
        {**conv_layer(out, 1), "name": f"{name}_narrow", "shared": shared},
        {**depthwise, "name": f"{name}_depth2", "direct": True, "shared": shared},
        {"type": "add", "name": f"{name}_add", "other": [before]},
    ]


def _needs(steps: int, coding: str, **train: Any) -> dict[str, dict[str, Any]]:
    """The other sections of a T-RevSNN of ``steps`` sub-networks, with the authors' settings as far as they exist."""
    trev = {
        "on": ["on1", "on2", "on3", "on4"],
        "stem": "stem2",
        "own": True,
        "residual": "scaled",
        "standardise": True,
        "bias": True,
        "answer": "last",
    }
    logits = {"logits": "mean", "logit_scale": 1.0}
    shared = {"method": "trev", "time_steps": steps, "learning_rate": 2e-3, "weight_decay": 0.01, "average": 0.9992}
    return {
        "data": {"coding": coding},
        "constraints": {"weight_bits": 32, "threshold": 0.5},
        "run": {"on": []},
        "train": {**shared, **logits, **train, "trev": trev},
    }


_OPTIONS: Final = {"classes": 1000, "norm": True, "width": 1.0}
_SOURCE: Final = "T-RevSNN, arXiv 2405.16466"
_STILL: Final = _needs(4, "direct", loss="deep", epochs=300, batch=512, warmup_epochs=20)

TREVSNN: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "trevsnn-small": Preset(
            "a sub-network of T-RevSNN, 96-192-384-512; four of them have 29,787,312 weights, gains, biases, norms and "
            "alphas, of 29.8 M in the paper",
            partial(trevsnn, features=(96, 192, 384, 512)),
            (3, 224, 224),
            _OPTIONS,
            _SOURCE,
            needs=_STILL,
        ),
        "trevsnn-tiny": Preset(
            "the same with 64-128-256-384; four of them have 15,216,912, of 15.2 M in the paper",
            partial(trevsnn, features=(64, 128, 256, 384)),
            (3, 224, 224),
            _OPTIONS,
            _SOURCE,
            needs=_STILL,
        ),
        "trevsnn-dvs": Preset(
            "the same with 32-64-128-256, for events; eight of them are the network for CIFAR10-DVS",
            partial(trevsnn, features=(32, 64, 128, 256)),
            (2, 128, 128),
            {"classes": 10, "norm": True, "width": 1.0},
            _SOURCE,
            needs=_needs(8, "events", loss="tet", tet_lambda=1e-3, epochs=100, batch=16),
        ),
    }
)
"""{name: network}."""
