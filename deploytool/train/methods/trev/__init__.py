"""Temporal reversibility: time steps undone in the backward pass."""
