"""NIR's neurons to a Spike and back: what a spike is to a neuron that takes currents.

NIR's neurons take a current in continuous time, and NIR does not say what a spike is. We read a spike of weight w as
a current w that is held for one time step dt, and what it has moved at the end of the step as its effect, exactly:

    IF        dv/dt = R I                                                 v by R w dt; R = 1 stands for R dt = 1
    LIF       tau dv/dt = v_leak - v + R I                                v by R w (1 - exp(-dt / tau))
    CubaLIF   tau_mem dv/dt = v_leak - v + R I, tau_syn dI/dt = -I + w_in S   I by w_in w (1 - exp(-dt / tau_syn))

(Pedersen et al., 2024, doi:10.1038/s41467-024-52259-9, table 1; its exact trace of an LIF neuron has these jumps.)
Importers that step by Euler's method have dt / tau for 1 - exp(-dt / tau), and decay by 1 - dt / tau. A Spike has V in
units of the weights, so that the factor beside w, the input gain, divides threshold, v_leak, v_reset and floor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, cast

import numpy as np

from deploytool.base.arrays import Array, all_finite, one_number, require_finite
from deploytool.base.errors import InputError, UnsupportedError
from deploytool.convert.nir.fields import Assumptions, Fields, as_shape
from deploytool.convert.nir.statements import metadata
from deploytool.ir.neurons import Reset
from deploytool.ir.nodes import Spike

NEURONS: Final = ("IF", "LIF", "CubaLIF")
OPTIONAL: Final = ("v_reset", "w_in")
TIMES: Final = ("tau", "tau_mem", "tau_syn")


def needs_time_step(fields: Fields) -> bool:
    """Whether the effect of an input on V depends on a time step and the file does not state the result."""
    if fields.type == "IF":
        return bool(np.any(fields.array("r") != 1))
    if never_leaks(fields):
        return False
    return fields.type in NEURONS and "tau_ms" not in fields.stated


def never_leaks(fields: Fields) -> bool:
    """Whether an LIF node integrates without a leak: tau and r are infinite, and r (1 - exp(-dt / tau)) is 1.

    In snnTorch integrate-and-fire neurons are Leaky(beta=1), written with tau = dt / (1 - beta), r = tau / dt.
    Raises InputError if this holds for only some neurons of the node, or if its input would have no effect.
    """
    if fields.type != "LIF" or not np.isinf(tau := fields.limits("tau")).any():
        return False
    if not (tau == np.inf).all():
        raise InputError(fields.where, "tau is infinite for some neurons only", "all finite, or all infinite")
    if not (fields.limits("r") == np.inf).all():
        found = "tau is infinite but r is finite, so no input changes V"
        raise InputError(fields.where, found, "r infinite too, or a finite tau", "Write nir.IF with r = 1.")
    return True


def integrate_and_fire(fields: Fields, assumed: Assumptions) -> Spike:
    """The Spike equal to an IF node."""
    fields.check_known("r", "v_threshold", "v_reset")
    arrays = _parameters(fields, "r", "v_threshold")
    step = 1.0 if assumed.dt_ms is None else assumed.dt_ms / 1000
    return _spike(fields, assumed, arrays, {}, np.where(arrays["r"] == 1, 1.0, arrays["r"] * step))


def leaky(fields: Fields, assumed: Assumptions) -> Spike:
    """The Spike equal to an LIF node."""
    fields.check_known("tau", "r", "v_leak", "v_threshold", "v_reset")
    if never_leaks(fields):
        arrays = _parameters(fields, "v_threshold")
        return _spike(fields, assumed, arrays, {}, np.ones(1))
    arrays = _parameters(fields, "tau", "r", "v_leak", "v_threshold")
    times = _stated_times(fields, assumed, arrays, "tau_ms")
    if times is not None:
        return _spike(fields, assumed, arrays, times, np.ones(1))
    gain = _gain(arrays["r"], arrays["tau"], assumed)
    return _spike(fields, assumed, arrays, {"tau_ms": arrays["tau"] * 1000.0}, gain)


def current_based(fields: Fields, assumed: Assumptions) -> Spike:
    """The Spike equal to a CubaLIF node."""
    fields.check_known("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in")
    arrays = _parameters(fields, "tau_syn", "tau_mem", "r", "v_leak", "v_threshold")
    times = _stated_times(fields, assumed, arrays, "tau_ms", "tau_syn_ms")
    if times is not None:
        return _spike(fields, assumed, arrays, times, np.ones(1))
    times = {"tau_ms": arrays["tau_mem"] * 1000.0, "tau_syn_ms": arrays["tau_syn"] * 1000.0}
    gain = _gain(arrays["r"] * arrays["w_in"], arrays["tau_syn"], assumed)
    return _spike(fields, assumed, arrays, times, gain)


def neuron_fields(spike: Spike, shape: tuple[int, ...], dt_ms: float | None) -> dict[str, Any]:
    """The fields of the NIR node for the neurons ``spike`` of ``shape``, with an input gain of 1."""
    said: dict[str, Any] = {"reset": spike.reset, "floor": spike.floor, "at_most_one": spike.at_most_one}
    if isinstance(spike.threshold, np.ndarray):
        threshold = spike.threshold.reshape(shape)
    else:
        threshold = np.full(shape, spike.threshold, np.float32)
        said["threshold"] = spike.threshold
    fields: dict[str, Any] = {"type": "IF", "r": np.ones_like(threshold), "v_threshold": threshold}
    if spike.tau_ms is not None:
        times = {"tau_ms": spike.tau_ms} | ({} if spike.tau_syn_ms is None else {"tau_syn_ms": spike.tau_syn_ms})
        said |= {
            name: value.ravel().tolist() if isinstance(value, np.ndarray) else value for name, value in times.items()
        }
        fields |= _time_fields({name: _full(value, shape) for name, value in times.items()}, dt_ms)
        fields |= {"type": "CubaLIF" if len(times) > 1 else "LIF", "v_leak": _full(spike.v_leak, shape)}
    if np.any(spike.v_reset):
        fields["v_reset"] = _full(spike.v_reset, shape)
    if np.any(spike.v_init):
        said["v_init"] = spike.v_init.ravel().tolist() if isinstance(spike.v_init, np.ndarray) else spike.v_init
    return {**fields, **metadata(**said)}


def _full(value: float | Array, shape: tuple[int, ...]) -> Array:
    return value.reshape(shape) if isinstance(value, np.ndarray) else np.full(shape, value, np.float64)


def _share(tau: Array, dt_ms: float | None) -> Array:
    """The share of a constant input that a state decaying with ``tau`` (s) reaches in a step ``dt_ms``.

    Without a step it is the effect of an impulse.
    """
    with np.errstate(over="ignore", divide="ignore"):  # of a tau that is nearly 0
        return cast(Array, 1 / tau if dt_ms is None else -np.expm1(-dt_ms / 1000 / tau))


def _gain(r: Array, tau: Array, assumed: Assumptions) -> Array:
    """The input gain; without a time step ``r``, as the node is then read for its errors and the step asked for."""
    return r if assumed.dt_ms is None else r * _share(tau, assumed.dt_ms)


def _time_fields(times: Mapping[str, Array], dt_ms: float | None) -> dict[str, Array]:
    """The fields of NIR (s) for ``times`` tau_ms and, of a CubaLIF, tau_syn_ms, that make the input gain 1."""
    tau = times["tau_ms"] / 1000
    if "tau_syn_ms" not in times:
        return {"tau": tau, "r": 1 / _share(tau, dt_ms)}
    tau_syn = times["tau_syn_ms"] / 1000
    return {"tau_mem": tau, "tau_syn": tau_syn, "r": np.ones_like(tau), "w_in": 1 / _share(tau_syn, dt_ms)}


def _parameters(fields: Fields, *names: str) -> dict[str, Array]:
    """The parameters ``names``, v_reset and w_in, all of one shape; the last two may be missing, w_in one number."""
    arrays = {name: fields.array(name) for name in (*names, *OPTIONAL) if name in names or name in fields.values}
    shape = arrays["v_threshold"].shape
    if "w_in" in arrays and not arrays["w_in"].ndim:
        arrays["w_in"] = np.full(shape, arrays["w_in"])
    if len({array.shape for array in arrays.values()}) > 1:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise InputError(fields.where, f"parameters of different shapes: {found}", "one shape")
    for name, what in (("v_threshold", "thresholds"), *((name, "time constants") for name in TIMES)):
        if name in arrays and np.any(arrays[name] <= 0):
            raise InputError(fields.where, f"{name} is {arrays[name].min()}", f"{what} above 0")
    arrays = {name: array if name == "v_threshold" else array.astype(np.float64) for name, array in arrays.items()}
    return {"w_in": np.ones(shape), "v_reset": np.zeros(shape), "v_leak": np.zeros(shape), **arrays}


def _stated_times(
    fields: Fields, assumed: Assumptions, arrays: Mapping[str, Array], *names: str
) -> dict[str, Array] | None:
    """The stated time constants (ms) ``names``, with which the input gain is 1; None if they are not stated.

    Raises InputError if the fields of the node disagree with what it states.
    """
    if "tau_ms" not in fields.stated:
        return None
    shape, times = arrays["v_threshold"].shape, {}
    for name in names:
        stated = fields.stated.get(name)
        values = _of_each(stated, shape)
        if values is None or not np.all(values > 0):
            raise InputError(fields.where, f"metadata states {name} = {stated!r}", "a number above 0 for each neuron")
        times[name] = values
    expected = _time_fields(times, assumed.dt_ms)
    if not all(np.allclose(arrays[name], array, rtol=1e-6, atol=0) for name, array in expected.items()):
        found = f"{', '.join(expected)} do not match the stated time constants"
        raise InputError(fields.where, found, "equal values")
    return times


def _spike(
    fields: Fields, assumed: Assumptions, arrays: Mapping[str, Array], times: Mapping[str, Array], gain: Array
) -> Spike:
    """The neurons, with all potentials divided by the gain."""
    if np.any(gain <= 0):
        raise UnsupportedError(fields.where, f"r is {arrays['r'].min()}", "an input gain above 0")
    reset = fields.stated.get("reset", assumed.reset)
    if reset not in ("subtract", "zero"):
        raise InputError(fields.where, f"metadata states the reset {reset!r}", "subtract or zero")
    _check_v_reset(fields, arrays, reset)
    changed = {name: _over(arrays[name], gain) for name in ("v_leak", "v_reset")}
    changed["v_init"] = _over(_start(fields, arrays["v_threshold"].shape), gain)
    return Spike(
        _threshold(fields, arrays["v_threshold"], gain),
        _floor(fields, assumed, gain),
        cast(Reset, reset),
        at_most_one=bool(fields.stated.get("at_most_one", True)),
        **{name: _on_map(fields, one_number(array)) for name, array in {**changed, **times}.items()},
    )


def _over(array: Array | float, gain: Array) -> Array:
    """``array`` / ``gain``; where the gain is 1 every bit is kept. Quotients beyond all numbers are infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(array) if np.all(gain == 1) else cast(Array, array / gain)


def _check_v_reset(fields: Fields, arrays: Mapping[str, Array], reset: str) -> None:
    v_reset = arrays["v_reset"]
    if reset == "subtract" and np.any(v_reset):
        found, todo = "a nonzero v_reset with reset by subtraction", "Use --reset zero to reset to v_reset."
        raise UnsupportedError(fields.where, found, "v_reset 0, or a reset to v_reset", todo)
    if np.any(v_reset >= arrays["v_threshold"]):
        raise InputError(fields.where, f"v_reset is {v_reset.max()}", "v_reset below v_threshold")


def _start(fields: Fields, shape: tuple[int, ...]) -> Array:
    """V before the first event; 0 if none is stated."""
    stated = fields.stated.get("v_init", 0.0)
    values = _of_each(stated, shape)
    if values is None or not all_finite(values):
        raise InputError(fields.where, f"metadata states v_init = {stated!r}", "a finite number for each neuron")
    return values


def _of_each(stated: object, shape: tuple[int, ...]) -> Array | None:
    """(shape): ``stated``, one number for all neurons or a list with one for each; None if it is neither."""
    numbers = stated if isinstance(stated, list) else [stated]
    if not all(type(number) in (int, float) for number in numbers):
        return None
    values = np.array(numbers, np.float64)
    if isinstance(stated, list):
        return values.reshape(shape) if len(values) == math.prod(shape) else None
    return np.full(shape, values[0])


def _floor(fields: Fields, assumed: Assumptions, gain: Array) -> float | None:
    floor: float | None = fields.stated.get("floor", assumed.floor)
    if floor is not None and not floor <= 0:
        raise InputError(fields.where, f"metadata states floor = {floor}", "a number of at most 0, or null for none")
    if floor is None or np.all(gain == 1):
        return floor
    if isinstance(factor := one_number(gain), np.ndarray):
        raise UnsupportedError(
            fields.where, "r differs between neurons that have a floor", "the same r for all neurons"
        )
    require_finite(fields.where, "the floor over the input gain", floor / factor)
    return floor / factor


def _threshold(fields: Fields, v_threshold: Array, gain: Array) -> float | Array:
    """v_threshold / gain, or the stated number if v_threshold equals it in its own precision.

    If no number is stated, an array of equal values becomes one number.
    """
    number: float | None = fields.stated.get("threshold")
    if number is not None:
        if np.any(v_threshold != v_threshold.dtype.type(number)):
            raise InputError(fields.where, f"v_threshold differs from the stated threshold {number}", "equal values")
        return number if np.all(gain == 1) else _on_map(fields, one_number(_over(number, gain)))
    threshold = _over(v_threshold, gain)
    one = threshold if "reset" in fields.stated else one_number(threshold)
    return _on_map(fields, one if isinstance(one, np.ndarray) else float(one))


def _on_map(fields: Fields, value: float | Array) -> float | Array:
    """``value``; an array is reshaped to the map (C, H, W) of the neurons."""
    if not isinstance(value, np.ndarray):
        return value
    return value.reshape(as_shape(value.shape, f"{fields.where}: v_threshold"))
