"""Artifacts: how values are stored on disk, looked up, and traced to their origin."""
