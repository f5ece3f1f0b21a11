"""[train.trev]: temporal reversibility, what of a network keeps its potential over time."""

from __future__ import annotations

from pydantic import Field

from deploytool.recipe.section import Section


class TrevSection(Section):
    """[train.trev]: which neurons remember, and how; deploytool/train/trev.py has the equations.

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
