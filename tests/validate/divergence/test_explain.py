"""Each reason is seeded: two runs that differ in exactly one thing, and a mixture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.divergence import EVENTS, REPLAY, one_neuron, sent, two_layers, varied, why

from deploytool.ir.divergence import Explained, Place
from deploytool.run.jobs.follow import follow
from deploytool.run.jobs.job import Job
from deploytool.run.jobs.perturbation import Perturbation
from deploytool.validate.divergence.causes import Run
from deploytool.validate.divergence.explain import explain

NEURON = Place("fc", 0, 0, 0)


def seen(found: Explained) -> tuple[int | None, tuple[int, int], tuple[str, ...]]:
    """(time, spikes, reasons) of the first divergence; its neuron is the only one."""
    assert found.first is not None
    assert found.first.neuron == NEURON
    return found.first.t_us, found.first.spikes, found.first.reasons


def membranes(found: Explained) -> list[tuple[float | None, float | None]]:
    return [(side.before, side.after) for side in found.sides]


def test_equal_runs() -> None:
    program = one_neuron([6])
    found = why(program, program, sent((1, 0), (2, 0), features=1))
    assert found.first is None
    assert not found.sides
    assert (
        found.says == "Sample 0 (made up, label 3): the simulator and the emulator fire the same spikes in every layer."
    )
    assert [(each.layer, each.t_us, each.totals) for each in found.layers] == [("fc", None, (1, 1))]


def test_a_long_name_is_said_once() -> None:
    traffic = follow(EVENTS, one_neuron([6]), sent((1, 0), (2, 0), features=1), 0)
    other = follow(EVENTS, one_neuron([4]), sent((1, 0), (2, 0), features=1), 0)
    runs = Run("emulator", traffic, "reference"), Run("emulator, 4 bits", other, "test")
    says = explain(runs, 0, REPLAY).says
    assert "the emulator and the test run (“emulator, 4 bits”) first differ in fc" in says
    assert "fires once in the emulator and does not fire in the test run." in says
    assert says.count("4 bits") == 1


def test_rounding_of_a_weight() -> None:
    """0.26 * 10 becomes 3, so V = 3 * 3 + 1 reaches the threshold at 40 us in integers, 0.88 does not in float32."""
    real = one_neuron([0.26, 0.1], 1.0, integers=False)
    rounded = varied(one_neuron([3, 1], 10), scale=10.0)
    found = why(real, rounded, sent((10, 0), (20, 0), (30, 0), (40, 1), features=2))
    assert seen(found) == (40, (0, 1), ("rounding of weights",))
    assert membranes(found) == [(pytest.approx(0.78), pytest.approx(0.88)), (pytest.approx(0.9), pytest.approx(1.0))]
    assert "feature 0, kernel row 0, column 0 is 0.26 in the simulator and 0.3 in the emulator (3 ev" in found.says


def test_different_biases() -> None:
    """Ticks at 10, 20 and 30 us: V = 4, 8, 12 with a bias of 4, and 3, 6, 9 with one of 3."""
    one, other = (
        replace(varied(one_neuron([6]), bias=np.array([bias], np.int16)), slow_clock_hz=100_000) for bias in (4, 3)
    )
    found = why(one, other, sent((35, 0), features=1))
    assert seen(found) == (30, (1, 0), ("different weights",))
    assert membranes(found) == [(8, 12), (6, 9)]
    assert "The tick of the slow clock takes V from 8 to 12 in the simulator" in found.says
    assert "The bias, which the slow clock adds, is 4 in the simulator and 3 in the emulator (3 events" in found.says


def test_different_weights() -> None:
    found = why(one_neuron([6]), one_neuron([4]), sent((1, 0), (2, 0), features=1))
    assert seen(found) == (2, (1, 0), ("different weights",))
    assert membranes(found) == [(6, 12), (4, 8)]


def test_rounding_of_the_threshold() -> None:
    real = one_neuron([0.5, 0.5], 1.04, integers=False)
    found = why(real, varied(one_neuron([5, 5], 10), scale=10.0), sent((1, 0), (2, 1), features=2))
    assert seen(found) == (2, (0, 1), ("rounding of the threshold",))
    assert "The threshold of the neuron is 1.04 in the simulator and 1 in the emulator" in found.says


def test_different_threshold() -> None:
    found = why(one_neuron([6]), one_neuron([6], 13), sent((1, 0), (2, 0), features=1))
    assert seen(found) == (2, (1, 0), ("different threshold",))


def test_floor() -> None:
    """-7 takes V to the floor -2 in A, so that the next 6 and 6 reach the threshold there only."""
    program = one_neuron([-7, 6], floor=-2)
    found = why(program, varied(program, floor=None), sent((1, 0), (2, 1), (3, 1), features=2))
    assert seen(found) == (3, (1, 0), ("floor",))
    assert membranes(found) == [(4, 10), (-1, 5)]
    assert "The simulator keeps V at or above the floor −2, and the emulator has no floor" in found.says
    assert "(in the simulator V was held at it once, last at 0.001 ms)" in found.says


def test_another_floor() -> None:
    program = one_neuron([-7, 6], floor=-2)
    found = why(program, varied(program, floor=-3), sent((1, 0), (2, 1), (3, 1), features=2))
    assert seen(found) == (3, (1, 0), ("floor",))


def test_reset() -> None:
    program = one_neuron([7], reset="subtract")
    found = why(program, varied(program, reset="zero"), sent(*((t, 0) for t in range(1, 6)), features=1))
    assert seen(found) == (3, (1, 0), ("reset",))
    assert membranes(found) == [(4, 11), (0, 7)]
    assert "After a spike, the simulator subtracts the threshold from V and the emulator sets V to 0" in found.says


def test_at_most_one() -> None:
    program = one_neuron([25], at_most_one=True)
    found = why(program, varied(program, at_most_one=False), sent((5, 0), features=1))
    assert seen(found) == (5, (1, 2), ("at_most_one",))


def test_initial_potential() -> None:
    found = why(one_neuron([6]), varied(one_neuron([6]), v_init=5), sent((5, 0), features=1))
    assert seen(found) == (5, (0, 1), ("initial potential",))


def test_order_of_simultaneous_events() -> None:
    """+6 +6 -6 fires at the second event, +6 -6 +6 does not."""
    program = one_neuron([6, -6])
    found = why(program, program, sent((5, 0), (5, 0), (5, 1), features=2), sent((5, 0), (5, 1), (5, 0), features=2))
    assert seen(found) == (5, (1, 0), ("order of simultaneous events",))


def test_order_of_spikes_alone() -> None:
    """Two neurons fire in one microsecond; only their order differs, because the events come in another order."""
    program = one_neuron([20, 20], 20)
    layer = varied(program, weights=np.array([[20, 0], [0, 20]], np.int8).reshape(2, 2, 1, 1), out_shape=(2, 1, 1))
    found = why(layer, layer, sent((5, 0), (5, 1), features=2), sent((5, 1), (5, 0), features=2))
    assert found.first is not None
    assert (found.first.t_us, found.first.spikes, found.first.reasons) == (5, (1, 1), ("order of simultaneous events",))
    assert "in another order" in found.says


def test_lost_added_and_shifted_input_events() -> None:
    program = one_neuron([6, 6])
    whole = sent((1, 0), (3, 1), features=2)
    lost = why(program, program, whole, sent((3, 1), features=2))
    assert seen(lost) == (3, (1, 0), ("lost input event",))
    assert membranes(lost) == [(6, 12), (0, 6)]
    assert "The event of the input pixel at feature 0 at 0.001 ms is missing in the emulator" in lost.says
    added = why(program, program, sent((3, 1), features=2), whole)
    assert seen(added) == (3, (0, 1), ("added input event",))
    shifted = why(program, program, whole, sent((3, 1), (7, 0), features=2))
    assert seen(shifted) == (3, (1, 0), ("shifted input event",))
    assert "6 us later in the emulator" in shifted.says


def test_upstream_is_named() -> None:
    """a fires in one run only; b then differs for that reason, and the first divergence is a's own."""
    program = two_layers([6, 6], 12)
    found = why(program, varied(program, "a", threshold=13), sent((1, 0), (2, 1), features=2))
    assert found.first is not None
    assert (found.first.layer, found.first.reasons) == ("a", ("different threshold",))
    last = found.layers[-1]
    assert (last.layer, last.t_us, last.reasons) == ("b", 2, ("upstream",))
    assert "Neuron 0 of a fires at 0.002 ms in the simulator only; a itself first differs at 0.002 ms" in last.says


def test_saturation() -> None:
    """400 events of -100 stop at -32768 in int16; from there 127 takes 259 events to the threshold, not 316."""
    real = one_neuron([-100, 127], 100, integers=False)
    events = [(t, 0) for t in range(400)] + [(400 + t, 1) for t in range(320)]
    found = why(real, one_neuron([-100, 127], 100), sent(*events, features=2))
    assert seen(found) == (400 + 258, (0, 1), ("saturation",))
    assert "V reaches the limit of int16 in the emulator at 0.327 ms: it stays at −32,768" in found.says


def test_float32_rounding() -> None:
    """0.1 added 25 times is 2.4999998 in float32."""
    real = one_neuron([0.1], 2.5, integers=False)
    stream = sent(*((t, 0) for t in range(1, 26)), features=1)
    found = why(real, varied(one_neuron([1], 25), scale=10.0), stream)
    assert seen(found) == (25, (0, 1), ("float32 rounding",))
    assert "takes V from 2.3999999 to 2.4999998 in the simulator (threshold 2.5)" in found.says


def test_perturbation() -> None:
    program = one_neuron([6] * 4, 11)
    stream = sent((1, 0), (2, 1), (3, 2), (4, 3), features=4)
    how = Perturbation(threshold=0.5, seed=2)
    found = why(program, program, stream, jobs=(EVENTS, replace(EVENTS, perturbation=how)))
    assert found.first is not None
    assert found.first.reasons == ("perturbation of the threshold",)
    how = Perturbation(weights=0.5, seed=2)
    found = why(program, program, stream, jobs=(EVENTS, replace(EVENTS, perturbation=how)))
    assert found.first is not None
    assert found.first.reasons == ("perturbation of weights",)


def test_a_mixture_names_what_is_needed_together() -> None:
    """Neither the weight 9 alone (9 < 10) nor the threshold 9 alone (8 < 9) makes B fire; both together do."""
    found = why(one_neuron([9], 9), one_neuron([8], 10), sent((1, 0), features=1))
    assert seen(found) == (1, (1, 0), ("different weights", "different threshold"))
    assert "only with the weights and threshold of the simulator together" in found.says


def test_of_several_sufficient_reasons_the_first_is_named() -> None:
    """Either the weight 10 or the threshold 8 would make the emulator fire."""
    found = why(one_neuron([10], 8), one_neuron([8], 10), sent((1, 0), features=1))
    assert seen(found) == (1, (1, 0), ("different weights",))
    assert found.first is not None
    assert found.first.alternatives == (("different threshold",),)
    assert "The threshold of the simulator alone would have the same effect." in found.says


def test_rounding_to_float32_is_no_alternative() -> None:
    """2 + 4 just meets the threshold 6, at the scale 7.9; rounded to float32 it would not. That is not the reason."""
    real = one_neuron([0.25, 0.5], 6 / 7.9 + 0.001, integers=False)
    found = why(real, varied(one_neuron([2, 4], 6), scale=7.9), sent((1, 0), (2, 1), features=2))
    assert found.first is not None
    assert found.first.reasons == ("rounding of weights",)
    assert found.first.alternatives == (("rounding of the threshold",),)


def test_a_property_that_differs_without_effect_is_not_named() -> None:
    program = one_neuron([6], floor=-1)
    found = why(program, varied(program, floor=-5, threshold=13), sent((1, 0), (2, 0), features=1))
    assert seen(found) == (2, (1, 0), ("different threshold",))


def steps(number: int) -> tuple[Job, Job]:
    return EVENTS, Job("quantised", number)


def test_the_sum_of_a_step_hides_a_crossing() -> None:
    """+30 -50 +40 from V = 0 with threshold 25: the neuron fires for the first event; the sum is 20."""
    program = one_neuron([30, -50, 40], 25)
    stream = sent((501, 0), (600, 1), (700, 2), features=3)
    found = why(program, program, stream, jobs=steps(2))
    assert seen(found) == (501, (1, 0), ("sum over a time step",))
    assert found.first is not None
    assert found.first.step == 2
    assert (
        "In time step 2 the neuron starts at V = 0 with the threshold 25 and gets 3 inputs: +30 −50 +40." in found.says
    )
    assert "The quantised run adds only their sum, +20: V is 20, and the neuron does not fire" in found.says


def test_the_floor_is_applied_once_per_step() -> None:
    """-20 +12 reaches 10 from the floor -1 event by event (11), and not from the sum -8."""
    program = one_neuron([-20, 12], 10, floor=-1)
    found = why(program, program, sent((501, 0), (600, 1), features=2), jobs=steps(2))
    assert seen(found) == (600, (1, 0), ("floor once per time step",))
    assert found.first is not None
    assert found.first.step == 2
    assert "V is held at the floor −1 once" in found.says


def test_a_neuron_fires_several_times_in_a_step() -> None:
    """One event of 25 against the threshold 10: one spike event by event, two in the step."""
    program = one_neuron([25], 10)
    found = why(program, program, sent((501, 0), features=1), jobs=steps(2))
    assert seen(found) == (501, (1, 2), ("spikes per time step",))


def test_the_reset_comes_once_per_step() -> None:
    """8 + 8 + 8 with reset to 0: one spike at 16, then V = 8; the step fires for 24, and V = 0. 8 more then fire."""
    program = one_neuron([8], 10, reset="zero")
    found = why(program, program, sent((1, 0), (2, 0), (3, 0), (501, 0), features=1), jobs=steps(2))
    assert found.first is not None
    assert found.first.reasons[0] in ("reset once per time step", "spikes per time step")


def test_a_clock_driven_reference() -> None:
    program = one_neuron([-20, 12], 10, floor=-1)
    found = why(program, program, sent((501, 0), (600, 1), features=2), jobs=steps(2)[::-1])
    assert seen(found) == (600, (0, 1), ("floor once per time step",))


def test_steps_and_rounding_together() -> None:
    """In time steps both differ only by rounding; the reason is then the weight."""
    real = one_neuron([0.26, 0.1], 1.0, integers=False)
    rounded = varied(one_neuron([3, 1], 10), scale=10.0)
    stream = sent((10, 0), (20, 0), (30, 0), (40, 1), features=2)
    found = why(real, rounded, stream, jobs=(steps(2)[1], steps(2)[1]))
    assert found.first is not None
    assert (found.first.step, found.first.reasons) == (1, ("rounding of weights",))


def test_other_time_steps_are_not_explained() -> None:
    program = one_neuron([6])
    found = why(program, program, sent((1, 0), (2, 0), features=1), jobs=(Job("quantised", 2), Job("quantised", 3)))
    assert "both runs are clock-driven, in time steps that differ" in found.says


def test_layers_with_other_maps_are_not_explained() -> None:
    found = why(one_neuron([20]), one_neuron([20, 20]), sent((1, 0), features=1), sent((1, 0), features=2))
    assert found.first is None
    assert found.layers[0].reasons == ("not known",)
