"""Targets: what runs a Program."""
