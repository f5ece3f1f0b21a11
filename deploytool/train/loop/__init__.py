"""The training loop: steps, state, checkpoints, evaluation."""
