"""The player's data hold every spike: its frame, its neuron."""

from __future__ import annotations

import base64
import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deploytool.ir.events import EVENT
from deploytool.report import player

SHAPE = (2, 3, 4)


@given(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 1), st.integers(0, 2), st.integers(0, 3)), max_size=30))
def test_every_spike_is_in_its_frame(listed: list[tuple[int, int, int, int]]) -> None:
    spikes = np.array(listed, EVENT)
    found = json.loads(player.player_data({"conv1": (SHAPE, spikes)}, ("conv1",), duration_us=1000))
    (layer,) = found["layers"]
    packed = np.frombuffer(base64.b64decode(layer["spikes"]), "<u4").astype(int)
    expected = sorted((t * found["frames"] // 1000, (c * 3 + y) * 4 + x) for t, c, y, x in listed)
    assert sorted(zip((packed // 24).tolist(), (packed % 24).tolist(), strict=True)) == expected
    assert layer["total"] == len(listed)


def test_a_layer_with_too_many_spikes_is_left_out_and_says_so() -> None:
    spikes = np.zeros(player.SPIKES_MAX + 1, EVENT)
    (layer,) = json.loads(player.player_data({"conv1": (SHAPE, spikes)}, (), 1000))["layers"]
    assert layer["spikes"] is None
    assert layer["total"] == player.SPIKES_MAX + 1


def test_names_cannot_end_the_script() -> None:
    assert "<" not in player.player_data({"</script>": (SHAPE, np.zeros(0, EVENT))}, ("</script>",), 1000)
