"""The terms that the page uses, each in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

GLOSSARY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Rung": "one way to run the network, from the trained network in time steps to silicon.",
        "Clock-driven": "computed in time steps: all input events of a step are added before neurons may fire.",
        "Event-driven": "computed one event at a time, in order of time, as the chip does.",
        "Emulator": "runs the chip's program core by core in the chip's integers, event by event.",
        "Spike Difference": "the sum of |reference − test| over the spike counts of all neurons, in % of the "
        "reference's spikes (arXiv 2503.17394, equation 16). Spike times have no effect.",
        "Pooled, mean": "pooled divides sums over all samples; mean averages the ratio of each sample.",
        "SynOp": "a synaptic operation: one weight added to one membrane.",
        "Prediction": "the output neuron with the most spikes; the first of equals; none without an output spike.",
        "Tie": "several output neurons have the most spikes. The first is taken, which is an arbitrary choice.",
        "95 % interval": "Wilson's interval of an accuracy: an estimate of what more samples of the same kind would "
        "give.",
        "Decoder": "reads values from the output: weights × the spikes of each output neuron in a window, plus an "
        "offset.",
        "RMSE": "root mean square error: the root of the mean of (read − true)².",
        "R²": "1 − Σ(read − true)² / Σ(true − mean)², the mean over the values; 1 is without errors.",
        "Threshold θ": "a neuron fires when its membrane V reaches it, and θ is then subtracted (or V is set to 0).",
        "Floor": "the lowest value that V can have.",
        "Map": "the neurons of a layer: features × rows × columns.",
        "Kernel, neuron memory": "the words of a core that hold weights and membranes; a core gives them out in powers "
        "of two.",
        "Digest": "the SHA-256 that identifies an artifact by its content.",
    }
)
