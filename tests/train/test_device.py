"""The mode in which torch trains."""

from __future__ import annotations

import torch

from deploytool.train.device import reproducible


def test_training_is_deterministic_and_fills_no_new_memory():
    deterministic = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled(), deterministic.fill_uninitialized_memory
    with reproducible():
        assert torch.are_deterministic_algorithms_enabled()
        assert not deterministic.fill_uninitialized_memory
    assert (torch.are_deterministic_algorithms_enabled(), deterministic.fill_uninitialized_memory) == before
