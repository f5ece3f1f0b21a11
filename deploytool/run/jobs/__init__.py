"""Runs over many samples: perturbed, interrupted and resumed, spread over processes and machines."""
