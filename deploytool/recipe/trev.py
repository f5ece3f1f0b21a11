"""[train.trev]: temporal reversibility, and which neurons keep their potential over time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from pydantic import Field

from deploytool.base.errors import RecipeError
from deploytool.recipe.section import Section


class TrevSection(Section):
    """[train.trev]: training that undoes its time steps in the backward pass, so that memory does not grow with them.

    Without `on`, all neurons are integrate-and-fire neurons, which the chip has. With `on`, the network is a T-RevSNN,
    which the chip cannot run.
    """

    on: tuple[str, ...] = Field(
        (), description="Spike layers at the ends of stages that keep their potential (turn-on); all others discard it."
    )
    stem: str | None = Field(
        None,
        description="Last of the layers that encode the input before the first stage. A still picture is encoded once.",
    )
    grouped: bool = Field(
        False,
        description="Encode the whole sample once, and give each time step one group of the features, as in the paper. "
        "Otherwise every step gets the features of its own frame: the same for a still picture, as in the authors' "
        "code.",
    )
    own: bool = Field(
        False,
        description="Give every time step a sub-network with its own weights, except for layers with `shared = true`. "
        "Otherwise one sub-network runs all steps.",
    )
    fusion: bool = Field(True, description="A stage also takes the spikes that deeper stages fired one step before.")
    fused: Literal["next", "deeper"] = Field(
        "next",
        description="Which deeper stages: only the next, as in the authors' code, or all, as in the paper.",
    )
    residual: Literal["plain", "scaled", "rezero"] = Field(
        "plain",
        description="What an add layer adds to a shortcut: the output of the weights before it, or that output times a "
        "factor for every feature, which is learnt and starts at 1 (`scaled`) or 0 (`rezero`). Training merges the "
        "factors into the weights at its end.",
    )
    standardise: bool = Field(
        False,
        description="Weight standardisation, with a gain for every feature, of all weights that are neither depthwise "
        "nor followed by a batch norm. Training merges it into the weights at its end.",
    )
    bias: bool = Field(False, description="Biases of all weights that no batch norm follows.")
    alpha: float = Field(
        0.5,
        ge=1e-3,
        le=1,
        description="Share of the potential that is kept per time step; the value at the start of training.",
    )
    answer: Literal["mean", "last"] = Field(
        "mean", description="The answer of the network: the mean of all time steps, or that of the last."
    )
    reversible: bool = Field(True, description="`false` keeps all time steps, to compare memory and gradients.")

    def conflicts(self) -> Iterator[RecipeError]:
        for key in _OF_TURN_ON:
            if not self.on and (value := getattr(self, key)) != _default(key):
                yield RecipeError(key, f"found {value!r} without on", "spike layers in on, or neither")
        if not self.fusion and self.fused != "next":
            yield RecipeError("fused", f"found {self.fused!r} without fusion", "fusion, or neither")


_OF_TURN_ON: Final = (
    "stem",
    "grouped",
    "own",
    "fusion",
    "fused",
    "residual",
    "standardise",
    "bias",
    "alpha",
    "answer",
)
"""Keys that apply to turn-on neurons only."""


def _default(key: str) -> object:
    return TrevSection.model_fields[key].default
