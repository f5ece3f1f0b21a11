"""The event file formats."""
