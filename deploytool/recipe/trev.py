"""[train.trev]: temporal reversibility, and which neurons keep their potential over time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

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
    fusion: bool = Field(
        True, description="A stage also takes the spikes that the next stage fired one time step before."
    )
    grouped: bool = Field(
        False, description="Encode the whole sample once, and give each time step one group of the features."
    )
    own: bool = Field(False, description="Give every time step a sub-network with its own weights.")
    alpha: float = Field(
        0.5,
        ge=1e-3,
        le=1,
        description="Share of the potential that is kept per time step; the value at the start of training.",
    )
    reversible: bool = Field(True, description="`false` keeps all time steps, to compare memory and gradients.")

    def conflicts(self) -> Iterator[RecipeError]:
        for key in _OF_TURN_ON:
            if not self.on and (value := getattr(self, key)) != _default(key):
                yield RecipeError(key, f"found {value!r} without on", "spike layers in on, or neither")


_OF_TURN_ON: Final = ("fusion", "grouped", "own", "alpha")
"""Keys that apply to turn-on neurons only."""


def _default(key: str) -> object:
    return TrevSection.model_fields[key].default
