"""[train.ptl]: progressive tandem learning."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from deploytool.recipe.section import Section


class PtlSection(Section):
    """[train.ptl]: how a network with ReLUs becomes one of spikes, layer by layer; see train/ptl.py."""

    ann: str | None = Field(
        None, description="the network with ReLUs, file.onnx or package.module:function; by default one is trained"
    )
    percentile: float = Field(99.0, gt=0, le=100, description="of a layer's activations: what fires once per time step")
    output_spikes: int | None = Field(
        None, ge=1, description="spikes of an output neuron that stand for that percentile; by default time_steps"
    )
    threshold_samples: int = Field(256, ge=1, description="training samples on which that is measured")
    stage_epochs: int | None = Field(None, ge=1, description="most epochs of a stage; by default train.epochs")
    stage_learning_rate: float = Field(1e-3, ge=0, description="learning rate of the stages; 0: plain conversion")
    bias: Literal["initial", "none"] = Field("initial", description="a bias is V at the start, or there is none")
    start: Literal["zero", "half"] = Field("zero", description="V at the start but for the bias: 0, or threshold / 2")
    forward: Literal["counts", "emulator"] = Field(
        "counts", description="what counts spikes in training: time steps, or the chip's emulator on the events"
    )
