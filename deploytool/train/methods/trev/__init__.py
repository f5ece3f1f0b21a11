"""Temporal reversibility: the backward pass undoes time steps."""
