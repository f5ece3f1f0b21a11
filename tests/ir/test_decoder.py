from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from deploytool.base.digest import digest
from deploytool.base.errors import InputError
from deploytool.ir.decoder import Decoder, as_values, parse_decoder

DECODER = Decoder(("vy", "vx"), np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]]), np.array([10.0, -1.0]), "px/s")


def test_a_value_is_a_weighted_sum_of_the_outputs_and_an_offset() -> None:
    assert DECODER.decode(np.array([[1, 2, 4], [0, 0, 0]])).tolist() == [[1 - 4 + 2 + 10, 6 + 4 - 1], [10, -1]]
    assert DECODER.outputs == 3


@pytest.mark.parametrize(("window_us", "duration_us", "windows"), [(None, 900, 1), (300, 900, 3), (300, 100, 1)])
def test_the_number_of_windows(window_us: int | None, duration_us: int, windows: int) -> None:
    decoder = Decoder(("v",), np.zeros((1, 2)), np.zeros(1), window_us=window_us)
    assert decoder.windows(duration_us) == windows


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weights": np.zeros((3, 3))}, r"weights of shape \(3, 3\)"),
        ({"offset": np.zeros(3)}, r"offsets of shape \(3,\)"),
        ({"offset": np.array([np.nan, 0])}, "not finite"),
        ({"window_us": 0}, "windows of 0 us"),
    ],
)
def test_what_is_no_decoder_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Decoder(**{**vars(DECODER), **change})


def test_a_decoder_comes_back_from_its_values() -> None:
    again = parse_decoder(json.loads(json.dumps(as_values(DECODER))), "here")
    assert digest(again) == digest(DECODER)
    assert parse_decoder(None, "here") is None


@pytest.mark.parametrize(
    "change", [{"weights": [[1, 2]]}, {"reads": "smell"}, {"window_us": 0.5}, {"offset": ["x", 1]}, {"values": 3}]
)
def test_values_that_describe_no_decoder_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError, match="here: describes a decoder that is none"):
        parse_decoder({**as_values(DECODER), **change}, "here")
