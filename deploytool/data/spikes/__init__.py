"""Recordings that other programs made: spikes or counts in tables, arrays and NIR data, read and written."""
