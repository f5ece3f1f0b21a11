"""Folders of recordings: their layout, their labels, how they are split and cut into samples, and how they are read."""
