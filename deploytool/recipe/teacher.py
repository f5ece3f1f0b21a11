"""[train.teacher]: a larger network whose answers are learnt too."""

from __future__ import annotations

from pydantic import Field

from deploytool.recipe.section import Section


class TeacherSection(Section):
    """[train.teacher]: a larger network without spikes, trained first, whose answers the network learns beside labels.

    It counts the events of a sample in windows of time, and has three convolutions with batch norm, ReLU and maximum
    pooling, and a linear layer. It sees every training sample as it was changed for the network, so that the network
    learns more from few samples than their labels tell.
    """

    epochs: int = Field(16, ge=1, description="Its passes over the training samples.")
    batch: int = Field(64, ge=2, description="Samples per step of its optimizer, AdamW.")
    learning_rate: float = Field(3e-3, gt=0, description="Its learning rate at the start, which falls along a cosine.")
    weight_decay: float = Field(0.02, ge=0, description="Its weight decay.")
    label_smoothing: float = Field(0.05, ge=0, lt=1, description="Share of its targets spread evenly over all classes.")
    features: int = Field(
        24, ge=1, description="Features of its first convolution; the second has twice, the third four times as many."
    )
    windows: int = Field(4, ge=1, description="Number of windows of equal time in which it counts events.")
    share: float = Field(
        0.7, gt=0, le=1, description="Share of its answers in the loss of the network; the rest is that of the labels."
    )
    temperature: float = Field(
        2.0, gt=0, description="Divides the logits of both before their softmax, so that unlikely classes count too."
    )
