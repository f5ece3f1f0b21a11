"""The network in training: layers, neurons, quantisers, compiled loops."""
