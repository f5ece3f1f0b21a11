"""torch and sinabs modules, and state dicts."""
