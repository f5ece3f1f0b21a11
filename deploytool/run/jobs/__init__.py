"""Runs over many samples: perturbation, resumption, and distribution over processes and machines."""
