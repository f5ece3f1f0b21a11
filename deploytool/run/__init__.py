"""Targets, which run Programs, and their engines."""
