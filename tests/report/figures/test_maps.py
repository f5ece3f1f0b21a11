"""Maps: paper is 0 and full colour the most, and a difference has two colours."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from deploytool.report.figures import maps


def opened(uri: str) -> np.ndarray:
    """(H, W, 3): the pixels of a PNG in a data URI."""
    content = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def test_a_count_map_shows_zero_as_paper_and_the_most_in_full_colour() -> None:
    counts = np.zeros((1, 2, 2), np.int64)
    counts[0, 1, 1] = 5
    found = maps.count_map(counts, "conv1")
    assert "5 spikes, at most 5 per neuron" in found.alt
    light, dark = opened(found.light), opened(found.dark)
    assert light.shape == (found.height, found.width, 3)
    assert light[1, 1].tolist() == [255, 255, 255]
    assert light[-2, -2].sum() < 150
    assert dark[1, 1].sum() < 100
    assert dark[-2, -2].sum() > 650


def test_a_difference_map_has_one_colour_for_more_and_one_for_fewer() -> None:
    reference = np.array([[[4, 4], [4, 0]]])
    test = np.array([[[4, 1], [7, 0]]])
    found = maps.difference_map(reference, test, "conv1")
    assert found.caption == "conv1: 3 more, 3 fewer, within ±3 per neuron (1 features)"
    pixels = opened(found.light)
    fewer, more = pixels[1, -2], pixels[-2, 1]
    assert pixels[1, 1].tolist() == [255, 255, 255]
    assert fewer[0] > fewer[2]
    assert more[2] > more[0]


def test_a_map_without_a_difference_is_paper() -> None:
    counts = np.full((3, 4, 4), 2, np.int64)
    found = maps.difference_map(counts, counts, "conv1")
    assert "no neuron differs" in found.caption
    assert opened(found.light)[1, 1].tolist() == [255, 255, 255]


def test_neurons_in_a_row_become_a_square_and_unused_places_are_marked() -> None:
    found = maps.count_map(np.ones((5, 1, 1), np.int64), "fc1")
    assert "5 neurons, row by row" in found.caption
    assert opened(found.light)[-2, -2].tolist() == list(maps.LIGHT_GAP)
