"""The report: one self-contained page for the user."""
