"""Early exit: at which step a sample is answered, and what that costs and gives."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deploytool.bench.early_exit import Exit, early_exit, exits

# Three steps, two samples, two classes. Probabilities of the surer class: 0.5, 0.88, 0.98 and 0.73, 0.73, 0.95.
PREFIXES = torch.tensor([[[0.0, 0.0], [1.0, 0.0]], [[0.0, 2.0], [1.0, 0.0]], [[0.0, 4.0], [0.0, 3.0]]])
LABELS = torch.tensor([1, 0])


@pytest.mark.parametrize(
    ("threshold", "steps", "accuracy"),
    [(0.0, [1, 1], 50), (0.7, [2, 1], 100), (0.9, [3, 3], 50), (0.96, [3, 3], 50), (1.1, [3, 3], 50)],
)
def test_a_sample_is_answered_at_the_first_confident_step(threshold: float, steps: list[int], accuracy: float) -> None:
    assert exits(PREFIXES, threshold).tolist() == steps
    assert early_exit(PREFIXES, LABELS, threshold) == Exit(sum(steps) / 2, accuracy)


@given(st.integers(0, 99), st.floats(0.3, 1), st.floats(0.3, 1))
def test_more_confidence_never_takes_fewer_steps(seed: int, one: float, other: float) -> None:
    prefixes = torch.randn(6, 20, 4, generator=torch.Generator().manual_seed(seed)) * 3
    low, high = sorted((one, other))
    assert (exits(prefixes, low) <= exits(prefixes, high)).all()
