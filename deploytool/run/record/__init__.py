"""What is kept of a run: samples, activity, and the checks before it starts."""
