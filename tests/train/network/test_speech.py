"""The encoder and the decoder of speech: windows overlap by half, are added again, and masks choose between them."""

from __future__ import annotations

import pytest
import torch

from deploytool.train.network import speech

LENGTH, WINDOWS = 8, 11
SAMPLES = LENGTH + (WINDOWS - 1) * LENGTH // 2
OPEN, SHUT = 50.0, -50.0
"""Potentials whose sigmoid is 1 and 0."""


def identity() -> dict[str, torch.Tensor]:
    """Filters that take and give each sample of a window, of either sign."""
    both = torch.cat([torch.eye(LENGTH), -torch.eye(LENGTH)])[:, None]
    ones, zeros = torch.ones(2 * LENGTH, 1), torch.zeros(2 * LENGTH, 1)
    return {speech.ENCODER: both, speech.DECODER: both, speech.GAIN: ones, speech.BIAS: zeros}


def test_overlapping_windows_are_added_to_the_sound_that_they_were_taken_from() -> None:
    weights, sound = identity(), torch.randn(3, SAMPLES)
    code = speech.encoded(weights, sound)
    assert code.shape == (3, 2 * LENGTH, WINDOWS)
    found = speech.decoded(weights, code, torch.full((3, 2 * code[0].numel()), OPEN))
    assert found.shape == (3, 2, SAMPLES)
    # Every sample is in two windows, except those of the first and the last half of one.
    half = LENGTH // 2
    assert found[:, 0, half:-half] == pytest.approx(2 * sound[:, half:-half], abs=1e-5)
    assert found[:, 1, :half] == pytest.approx(sound[:, :half], abs=1e-5)


def test_masks_choose_what_each_speaker_gets() -> None:
    weights, sound = identity(), torch.randn(1, SAMPLES)
    code = speech.encoded(weights, sound)
    masks = torch.full((1, 2, *code.shape[1:]), SHUT)
    masks[:, 1, :, :3] = OPEN
    found = speech.decoded(weights, code, masks.flatten(1))
    assert not found[:, 0].abs().max() > 1e-6
    assert found[0, 1, LENGTH // 2 : LENGTH] == pytest.approx(2 * sound[0, LENGTH // 2 : LENGTH], abs=1e-5)
    assert not found[0, 1, 2 * LENGTH :].abs().max() > 1e-6


def test_a_code_is_normalised_over_filters_and_time() -> None:
    weights = identity() | {
        speech.GAIN: torch.full((2 * LENGTH, 1), 3.0),
        speech.BIAS: torch.full((2 * LENGTH, 1), 0.5),
    }
    given = speech.normalised(
        weights, speech.encoded(weights, torch.randn(4, SAMPLES) * torch.tensor([[1e-2], [1], [5], [9]]))
    )
    assert given.shape == (4, 2 * LENGTH, 1, WINDOWS)
    assert given.mean((1, 2, 3)).tolist() == pytest.approx([0.5] * 4, abs=1e-4)
    assert given.std((1, 2, 3), correction=0).tolist() == pytest.approx([3.0] * 4, abs=1e-2)
