"""Helpers that every package may use: errors, digests, arrays, files of arrays, progress. Knows nothing of networks."""
