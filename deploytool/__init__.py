"""From a trained spiking neural network to a Speck2e chip, with proof of how far the answers differ."""
