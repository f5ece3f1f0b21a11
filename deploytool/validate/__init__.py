"""Metrics, and the ladder from the trained network to silicon."""
