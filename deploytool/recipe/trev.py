"""[train.trev]: temporal reversibility, what of a network keeps its potential over time."""

from __future__ import annotations

from typing import Final

from pydantic import Field, model_validator

from deploytool.recipe.section import Section


class TrevSection(Section):
    """[train.trev]: which neurons remember, and how; deploytool/train/methods/trev/ has the equations.

    Without ``on`` all neurons are integrate-and-fire ones, which the chip has; only memory is saved.
    """

    on: tuple[str, ...] = Field(
        (), description="spike layers at the ends of stages that keep a potential (turn-on); all others forget (off)"
    )
    fusion: bool = Field(True, description="a stage also takes the spikes that the next one fired a time step ago")
    grouped: bool = Field(False, description="features of the whole sample, in one group per time step, are the input")
    own: bool = Field(False, description="a sub-network with weights of its own for every time step")
    alpha: float = Field(0.5, ge=1e-3, le=1, description="share of a potential that stays per time step, at first")
    reversible: bool = Field(True, description="false: all time steps are kept, to compare memory and gradients")

    @model_validator(mode="after")
    def _for_something(self) -> TrevSection:
        if not self.on and (given := [key for key in _OF_TURN_ON if getattr(self, key) != _default(key)]):
            found = f"{given[0]} is {getattr(self, given[0])!r} without on"
            raise ValueError(f"{found}; need spike layers in on, or neither")
        return self


_OF_TURN_ON: Final = ("fusion", "grouped", "own", "alpha")
"""Keys that say something of turn-on neurons only."""


def _default(key: str) -> object:
    return TrevSection.model_fields[key].default
