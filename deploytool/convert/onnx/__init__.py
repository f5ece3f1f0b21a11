"""ONNX, from a trained network with ReLUs, to a Graph of integrate-and-fire neurons.

A ReLU unit and an integrate-and-fire neuron with reset by subtraction have the same transfer function, once the rate
of spikes stands for the activation (Rueckauer et al., 2017, doi:10.3389/fnins.2017.00682, section 2.1):

    rate = max(0, sum_j w_j rate_j + b) / threshold      for rates below one spike per input event

Weights are carried over as they are. Activations well above the threshold saturate and small ones come late, so
weights should be normalised to the activations that occur (ibid., section 2.2) before they are exported.
"""

from deploytool.convert.onnx.read import read_onnx as read_onnx
