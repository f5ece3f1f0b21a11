"""What passes between stages: events, graphs, programs, recordings, verdicts."""
