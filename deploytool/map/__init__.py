"""The compiler from a Graph to a Program on cores, one file per pass."""
