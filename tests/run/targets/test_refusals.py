"""What a run refuses, in one sentence each and all at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from contract import layer, mapped, stream, two_neurons
from helpers.layers import changed, make_layer

from deploytool.base.errors import InputError, UnsupportedError
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program, Route
from deploytool.ir.target import Watch
from deploytool.run.record import checks
from deploytool.run.targets.options import Options
from deploytool.run.targets.table import make_target

SIMULATOR, EMULATOR = make_target("simulator"), make_target("emulator")


@pytest.mark.parametrize("target", ["simulator", "quantised"])
@pytest.mark.parametrize("samples", [1, 3])
def test_more_single_spikes_than_memory_should_hold(target: str, samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The neuron fires 20 times for each of six events; counts alone have no limit."""
    fires = make_layer(np.array([[[[100]]]], np.int8), 5, (1, 1, 1), (1, 1, 1), at_most_one=False)
    program = Program("simulator", "int8/int16", (1, 1, 1), (Route("fc"),), {"fc": fires}, ("fc",), "")
    sent = [stream([0] * 6, (1, 1, 1), name=f"s{i}") for i in range(samples)]
    monkeypatch.setattr(checks, "KEPT_MAX", 100 if samples == 1 else 250)
    runs = make_target(target, Options(time_steps=2) if target == "quantised" else Options())
    with pytest.raises(UnsupportedError, match=r"s[02]: (120|360) single spikes to keep; need at most (100|250)"):
        runs.run(program, sent, Watch(rasters=9))
    assert runs.run(program, sent).counts["fc"].sum() == 120 * samples


def refusal(program: Program, target: object = None) -> tuple[str, ...]:
    with pytest.raises(UnsupportedError) as caught:
        (target or SIMULATOR).run(program, [stream([0])])
    return caught.value.problems


FOUR = np.arange(1, 5, dtype=np.float32).reshape(1, 2, 2)


def as_float(**changes: object) -> Program:
    fields = {"weights": np.ones((1, 2, 1, 1), np.float32), "threshold": 1.0} | changes
    fc = make_layer(in_shape=(2, 1, 1), out_shape=(1, 1, 1), routes=(), **fields)
    return Program("simulator", "float32", (2, 1, 1), (Route("fc"),), {"fc": fc}, ("fc",), "")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"bias": np.array([1, 0], np.int16)},
            "fc: has a bias, and no slow clock that would add it; need a slow clock, whose every tick adds the bias.",
        ),
        ({"threshold": 0}, "a threshold of 0; need thresholds above 0"),
        ({"threshold": 40000}, "a threshold of 40000; need integer thresholds of at most 32767"),
        ({"threshold": 2.5}, "a threshold of 2.5; need integer thresholds"),
        ({"floor": 3}, "a floor of 3; need a floor of at most 0"),
        ({"floor": -40000}, "a floor of -40000; need integer floors of at least -32768"),
        ({"out_shape": (2, 1, 2)}, "an output map of 2x1x2, but its kernel gives 2x1x1; need the output map that"),
        (
            {"weights": np.ones((2, 2, 1, 1), np.float32)},
            "weights of float32 in a program of int8/int16; need int8 weights",
        ),
    ],
)
def test_an_integer_layer_that_cannot_run_is_refused(changes: dict[str, object], says: str) -> None:
    program = two_neurons()
    broken = program.with_layers({"fc": changed(program.layers["fc"], **changes)})
    for target in (SIMULATOR, EMULATOR):
        assert says in refusal(broken, target)[0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"threshold": 0.0}, "a threshold of 0.0; need thresholds above 0"),
        ({"threshold": np.full((1, 1, 1), np.nan, np.float32)}, "a threshold of nan; need thresholds above 0"),
        ({"threshold": FOUR}, "threshold of shape (1, 2, 2) on a map of shape (1, 1, 1); need one number"),
        ({"floor": 0.5}, "a floor of 0.5; need a floor of at most 0"),
        ({"weights": np.full((1, 2, 1, 1), np.nan, np.float32)}, "weights that are not finite"),
        ({"threshold": 1e-6, "at_most_one": False}, "at most 1024 spikes per update"),
        ({"weights": np.ones((1, 2, 1, 1))}, "weights of float64 in a program of float32"),
    ],
)
def test_a_float_layer_that_cannot_run_is_refused(changes: dict[str, object], says: str) -> None:
    assert says in refusal(as_float(**changes))[0]


def test_every_reason_is_told() -> None:
    program = two_neurons(bias=np.array([1, 0], np.int16), threshold=0)
    assert len(refusal(program)) == 2


def test_a_layer_that_nothing_feeds_is_refused() -> None:
    lonely = layer([[[[1]], [[1]]]], (2, 1, 1), (1, 1, 1))
    program = mapped({"fc": two_neurons().layers["fc"], "lonely": lonely}, outputs=("fc",))
    assert "lonely: nothing feeds it" in refusal(program)[0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"chip": "simulator", "core_of": {}}, "not mapped for a chip; need one of speck2e"),
        ({"core_of": {}}, "layers without a core: a, b; need each layer on its own core, one of 9. Map the network"),
        ({"core_of": {"a": 0, "b": 9}}, "layers without a core: b"),
        ({"core_of": {"a": 3, "b": 3}}, "two layers on one core"),
        ({"arithmetic": "float32"}, "computes in float32; need int8/int16"),
    ],
)
def test_the_emulator_refuses_what_was_not_mapped(changes: dict[str, object], says: str) -> None:
    program = mapped(
        {
            "a": layer([[[[5]], [[5]]]], (2, 1, 1), (1, 1, 1), Route("b")),
            "b": layer([[[[5]]]], (1, 1, 1), (1, 1, 1)),
        }
    )
    assert any(says in problem for problem in refusal(replace(program, **changes), EMULATOR))


def test_the_emulator_refuses_more_than_one_spike_per_update() -> None:
    assert (
        "several spikes per update; need at most one spike per update"
        in refusal(two_neurons(at_most_one=False), EMULATOR)[0]
    )


def test_coordinates_that_would_wrap_around_are_refused() -> None:
    wide = mapped({"conv": layer([[[[5]]]], (1, 1, 129), (1, 1, 129))})
    assert "an input map of 1x1x129; need at most 128x128 pixels" in refusal(wide, EMULATOR)[0]


def test_times_that_would_wrap_around_are_refused() -> None:
    late = EventStream(np.array([(1 << 32, 0, 0, 0)], EVENT), (2, 1, 1), (1 << 32) + 1, name="late.bin")
    with pytest.raises(InputError, match=r"late.bin: lasts 4294967297 us; need at most 4294967295 us"):
        EMULATOR.run(two_neurons(), [late])
    assert len(SIMULATOR.run(two_neurons(), [late])) == 1
