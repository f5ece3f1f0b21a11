"""[train.ptl]: progressive tandem learning."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from deploytool.recipe.section import Section


class PtlSection(Section):
    """[train.ptl]: progressive tandem learning, which turns a network with ReLUs into a spiking one layer by layer."""

    ann: str | None = Field(
        None,
        description="The network with ReLUs: `file.onnx` or `package.module:function`. By default it is trained first.",
    )
    percentile: float = Field(
        99.0, gt=0, le=100, description="Percentile of a layer's activations that maps to one spike per time step."
    )
    output_spikes: int | None = Field(
        None,
        ge=1,
        description="Number of spikes of an output neuron that represents this percentile; by default `time_steps`.",
    )
    threshold_samples: int = Field(256, ge=1, description="Training samples on which the percentile is measured.")
    stage_epochs: int | None = Field(
        None, ge=1, description="Largest number of epochs per stage; by default `train.epochs`."
    )
    stage_learning_rate: float = Field(
        1e-3, ge=0, description="Learning rate of the stages; 0 converts without further training."
    )
    bias: Literal["initial", "none"] = Field(
        "initial", description="`initial`: a bias becomes the membrane potential at the start. `none`: no biases."
    )
    start: Literal["zero", "half"] = Field(
        "zero", description="Membrane potential at the start, before the bias is added: 0, or half the threshold."
    )
    forward: Literal["counts", "emulator"] = Field(
        "counts",
        description="How the spikes of a converted layer are counted in training: a clock-driven run, or the chip's "
        "emulator on the events.",
    )
