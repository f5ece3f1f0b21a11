"""The values that pass between stages: events, graphs, programs, recordings, verdicts."""
