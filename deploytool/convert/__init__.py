"""Conversion between other formats and Graph."""
