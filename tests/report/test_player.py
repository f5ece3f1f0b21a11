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


@given(
    st.lists(st.tuples(st.integers(0, 999), st.integers(0, 1), st.integers(0, 2), st.integers(0, 3)), max_size=30),
    st.booleans(),
)
def test_every_spike_is_in_its_frame(listed: list[tuple[int, int, int, int]], output: bool) -> None:
    """Every spike of an output, and of another layer each neuron once in a frame."""
    spikes = np.array(sorted(listed), EVENT)
    outputs = ("conv1",) if output else ()
    found = json.loads(player.player_data({"conv1": (SHAPE, spikes)}, outputs, duration_us=1000))
    (layer,) = found["layers"]
    packed = np.frombuffer(base64.b64decode(layer["spikes"]), "<u4").astype(int)
    expected = [(t * found["frames"] // 1000, (c * 3 + y) * 4 + x) for t, c, y, x in listed]
    drawn = sorted(expected if output else set(expected))
    assert list(zip((packed // 24).tolist(), (packed % 24).tolist(), strict=True)) == drawn
    assert layer["so_far"] == [sum(at <= frame for at, _ in expected) for frame in range(found["frames"])]


def test_the_largest_layers_are_left_out_where_there_is_no_room() -> None:
    rng = np.random.default_rng(0)

    def spikes(number: int) -> np.ndarray:
        made = np.zeros(number, EVENT)
        made["t"] = np.sort(rng.choice(1000, number, replace=False))
        return made

    layers = {"conv1": (SHAPE, spikes(900)), "conv2": (SHAPE, spikes(300)), "fc1": (SHAPE, spikes(50))}
    found = json.loads(player.player_data(layers, ("fc1",), 1000, room=400))
    assert [layer["spikes"] is None for layer in found["layers"]] == [False, False, False]
    found = json.loads(player.player_data(layers, ("fc1",), 1000, room=200))
    assert [layer["spikes"] is None for layer in found["layers"]] == [True, False, False]
    assert found["layers"][0]["so_far"][-1] == 900


def test_names_cannot_end_the_script() -> None:
    assert "<" not in player.player_data({"</script>": (SHAPE, np.zeros(0, EVENT))}, ("</script>",), 1000)
