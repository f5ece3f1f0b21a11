"""Results of a run (samples, activity), and the checks before it starts."""
