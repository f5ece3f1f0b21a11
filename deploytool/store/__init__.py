"""Artifacts: how values are kept on disk, found again and traced back."""
