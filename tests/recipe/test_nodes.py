"""Layers of a recipe as nodes: how large they may be."""

from __future__ import annotations

from typing import Any

import pytest

from deploytool.base.errors import RecipeError
from deploytool.recipe import NetworkSection
from deploytool.recipe.nodes import blank_nodes


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        ({"type": "conv", "out": 2**63 - 1, "kernel": 3}, r"network.layers: 'conv1': 1.66e\+20 weights; need at most"),
        ({"type": "linear", "out": 2**62}, r"network.layers: 'fc1': 9.22e\+18 weights; need at most 1.15e\+18 in a"),
    ],
)
def test_more_weights_than_can_be_counted_are_refused(layer: dict[str, Any], says: str) -> None:
    network = NetworkSection.model_validate(
        {"input": (2, 3, 3) if layer["type"] == "conv" else (2, 1, 1), "layers": [layer]}
    )
    with pytest.raises(RecipeError, match=says):
        blank_nodes(network)
