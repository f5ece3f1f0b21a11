"""The chip's configuration as JSON values in the vendor's terms; configuration.schema.json describes it.

Axes are transposed relative to ours: weights are [out][in][kx][ky], neurons [feature][x][y]. Sizes are {"x", "y"}.
Events pass the sensor's layer in this order (the Speck user guide, and sinabs 3.1.3 likewise): polarities, pooling,
crop, mirror. Recorded events are sent directly to the cores and bypass this layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Array, Pair, Shape, format_shape
from deploytool.base.errors import InputError
from deploytool.chip.chips import Chip
from deploytool.ir.program import Program, Route, Synapses
from deploytool.ir.spec.rule import Level
from deploytool.ir.spec.verify import verify
from deploytool.map.readout import BY_FEATURE, arranged, layout_numbers, readout_of
from deploytool.recipe import DvsSection, ReadoutSection

DESTINATIONS: Final = 2
COMPARED: Final = 1
"""Value of output_mode_sel: the readout value tells which classes are above the threshold."""
ALL_ON: Final = DvsSection()


def configuration(
    program: Program, chip: Chip, dvs: DvsSection = ALL_ON, readout: ReadoutSection | None = None
) -> dict[str, Any]:
    """The configuration of ``chip`` for a ``program`` mapped for it, as JSON values; see `described`.

    Raises InputError if the program was mapped for another chip or the sensor does not support the settings in ``dvs``,
    UnsupportedError if the program breaks a rule, and UnsupportedError or FitError if its output does not suit the
    readout layer.
    """
    if program.chip != chip.name:
        raise InputError("program", f"mapped for {program.chip}", f"one mapped for {chip.name}")
    verify(program, Level.MAPPED, chip)
    return described(program, chip, dvs, readout)


def described(
    program: Program, chip: Chip, dvs: DvsSection = ALL_ON, readout: ReadoutSection | None = None
) -> dict[str, Any]:
    """The configuration of ``chip`` for a placed ``program``, without checking the chip's rules.

    "cnn_layers" has an entry for every core, None where it is unused; outputs are monitored, nothing else is.
    "unknown" lists points on which the sources are silent or disagree. With ``readout`` in the layout of single neurons
    the last layer is widened (see readout.py), and monitored spikes have the widened features.
    Raises InputError, UnsupportedError and FitError as `configuration` does.
    """
    if readout is not None:
        program = arranged(program, chip, readout.layout)
    layers: list[dict[str, Any] | None] = [None] * len(chip.cores)
    for name, core in program.core_of.items():
        layers[core] = _layer(program, name)
    if readout is not None:
        answer = layers[program.core_of[program.outputs[0]]]
        assert answer is not None  # an output is a layer on a core
        answer["destinations"][0] |= {"enable": True, "layer": readout_of(chip).destination}
    return {
        "chip": chip.name,
        "slow_clock_hz": program.slow_clock_hz,
        "cnn_layers": layers,
        "dvs_layer": _dvs_layer(program, chip, dvs),
        "readout": {"enable": False} if readout is None else _readout(readout, chip),
        "unknown": list(_unknown(program, chip, dvs, readout)),
    }


def _layer(program: Program, name: str) -> dict[str, Any]:
    layer = program.layers[name]
    neurons = layer.neurons
    return {
        "name": name,
        "dimensions": _dimensions(layer.single),
        "destinations": _destinations(program, layer.routes),
        "weights": layer.single.weights.transpose(0, 1, 3, 2).tolist(),
        "biases": [0] * layer.out_shape[0] if layer.bias is None else layer.bias.tolist(),
        "leak_enable": name in program.biased,
        "neurons_initial_value": _on_map(neurons.v_init, layer.out_shape).transpose(0, 2, 1).tolist(),
        "return_to_zero": neurons.reset == "zero",
        "threshold_high": int(neurons.threshold),
        "threshold_low": int(neurons.floor or 0),
        "monitor_enable": name in program.outputs,
        **_decimator(layer.decimation),
        **({"input_congestion_balancer_enable": True} if layer.balancer else {}),
    }


def _decimator(interval: int) -> dict[str, Any]:
    """The fields of the output decimator, which samna has from 0.48 on; none where every spike passes.

    Its intervals 2, 4, 8, ... are numbered from 0, which no source confirms.
    """
    if interval == 1:
        return {}
    return {"output_decimator_enable": True, "output_decimator_interval": interval.bit_length() - 2}


def _on_map(value: float | Array, shape: Shape) -> Array:
    return np.broadcast_to(np.asarray(value, np.int16), shape)


def _dimensions(synapses: Synapses) -> dict[str, Any]:
    return {
        "input_shape": _shape(synapses.in_shape),
        "output_shape": _shape(synapses.out_shape),
        "kernel_size": synapses.kernel[0],
        "stride": _xy(synapses.stride),
        "padding": _xy(synapses.padding),
    }


def _destinations(program: Program, routes: tuple[Route, ...]) -> list[dict[str, Any]]:
    used = [
        {
            "enable": True,
            "layer": program.core_of[route.to],
            "pooling": route.pool[0],
            "feature_shift": route.feature_shift,
        }
        for route in routes
    ]
    unused = {"enable": False, "layer": 0, "pooling": 1, "feature_shift": 0}
    return used + [dict(unused) for _ in range(DESTINATIONS - len(used))]


def _from_sensor(program: Program, chip: Chip) -> bool:
    """Whether the sensor can provide the input. Events with more features must come from outside."""
    return program.input_shape[0] <= chip.dvs_features


def _dvs_layer(program: Program, chip: Chip, dvs: DvsSection) -> dict[str, Any]:
    routes = program.input_routes if _from_sensor(program, chip) else ()
    pool = routes[0].pool if routes else (1, 1)
    used = [{"enable": True, "layer": program.core_of[route.to]} for route in routes]
    origin, cut = _crop(program, chip, dvs, pool) if routes else _no_crop(program, chip, dvs)
    return {
        "destinations": used + [{"enable": False, "layer": 0} for _ in range(DESTINATIONS - len(used))],
        "merge": program.input_shape[0] == 1,
        "on_channel": dvs.polarity != "off",
        "off_channel": dvs.polarity != "on",
        "mirror": {"x": "x" in dvs.mirror, "y": "y" in dvs.mirror},
        "mirror_diagonal": "diagonal" in dvs.mirror,
        "origin": _xy(origin),
        "cut": _xy(cut),
        "pooling": _xy(pool),
        "pass_sensor_events": dvs.live,
        "monitor_enable": False,
    }


def _crop(program: Program, chip: Chip, dvs: DvsSection, pool: Pair) -> tuple[Pair, Pair]:
    """The first and the last pixel (y, x) of the sensor, or of its pooled map, that the network sees."""
    size, unit = program.input_shape[1:], (1, 1) if dvs.crop == "sensor" else pool
    cut = [first + n // u - 1 for first, n, u in zip(dvs.origin, size, unit, strict=True)]
    limit = [chip.dvs_size // u for u in unit]
    if min(dvs.origin) < 0 or any(last >= n for last, n in zip(cut, limit, strict=True)):
        raise InputError(
            "dvs",
            f"a crop from (y, x) = {dvs.origin} to {tuple(cut)}",
            f"one inside 0..{limit[0] - 1}, 0..{limit[1] - 1}",
        )
    if "diagonal" in dvs.mirror and (size[0] != size[1] or pool[0] != pool[1]):
        raise InputError(
            "dvs",
            f"a diagonal mirror of {format_shape(program.input_shape)} pooled by {pool[0]}x{pool[1]}",
            "a square map and pooling",
            "Sources differ on which side is swapped.",
        )
    return dvs.origin, (cut[0], cut[1])


def _no_crop(program: Program, chip: Chip, dvs: DvsSection) -> tuple[Pair, Pair]:
    if dvs != ALL_ON:
        raise InputError(
            "dvs",
            f"settings for an input of {program.input_shape[0]} features",
            f"at most {chip.dvs_features}, one per polarity",
            "Remove [map.dvs]: events with more features come from outside the chip.",
        )
    return (0, 0), (chip.dvs_size - 1, chip.dvs_size - 1)


def _readout(readout: ReadoutSection, chip: Chip) -> dict[str, Any]:
    return {
        "enable": True,
        "readout_configuration_sel": layout_numbers(chip)[readout.layout],
        "output_mode_sel": COMPARED,
        "threshold": readout.threshold,
        "low_pass_filter_disable": readout.average == 1,
        "low_pass_filter32_not16": readout.average == 32,
        "readout_pin_monitor_enable": True,
    }


def _unknown(program: Program, chip: Chip, dvs: DvsSection, readout: ReadoutSection | None) -> Iterator[str]:
    """Assumptions of this configuration that no source confirms."""
    pooled = any(route.pool != (1, 1) for route in program.input_routes)
    if pooled and _from_sensor(program, chip):
        counted = "of the sensor" if dvs.crop == "sensor" else "after pooling"
        yield (
            f"dvs_layer: origin and cut count pixels {counted}. The user guide and sinabs 3.1.3 crop after pooling, "
            "the validator of samna 0.7.1 before it"
        )
    if dvs.mirror:
        yield "dvs_layer: whether the mirror turns about the middle of the crop (sinabs) or of the sensor"
    for name, core in program.core_of.items():
        if chip.cores[core].parallel_lanes:
            yield f"{name}: the order of events on core {core}, which computes in parallel lanes"
            if program.layers[name].bias is not None:
                yield f"{name}: the leak on core {core}, which is reported to be unreliable"
    for name in program.layers:
        if added := _summands(program, name):
            yield f"{name}: the order in which the spikes of {' and '.join(added)}, which it adds, arrive at its core"
        if program.layers[name].decimation > 1:
            yield (
                f"{name}: which of {program.layers[name].decimation} spikes its output decimator lets pass, how samna "
                "writes the interval, and whether its counter starts again with a sample"
            )
        if speed := program.layers[name].balancer:
            yield (
                f"{name}: which events its congestion balancer drops; the emulator drops those that arrive while a "
                f"core of {speed:,} SynOps per second is busy, without the chip's buffer"
            )
    if program.biased:
        yield (
            "slow clock: its phase, the order of leaks and events, and whether a leak makes neurons of "
            f"{' and '.join(program.biased)} fire at the tick or only at their next event"
        )
    if readout is not None:
        yield from _unknown_readout(readout, program.slow_clock_hz)


def _unknown_readout(readout: ReadoutSection, slow_clock_hz: int | None) -> Iterator[str]:
    if readout.layout == BY_FEATURE:
        yield "readout: that every fourth feature of the last layer is a class, an erratum we have not seen on silicon"
    else:
        yield (
            f"readout: which class each neuron of the layout {readout.layout} has on the pins, whether features need "
            "the spacing of single neurons, and which of 16 neurons has no class, as there are 15"
        )
    yield (
        "readout: which of equal classes it gives, whether the moving average is rounded down before it is compared, "
        "and what the average holds at the start of a sample"
    )
    if slow_clock_hz is None:
        yield "readout: the frequency of its slow clock, which was not given"


def _summands(program: Program, name: str) -> tuple[str, ...]:
    """The sources that send the same features to layer ``name``."""
    flows = [
        (source, min(route.feature_shift for route in routes.values())) for source, routes in program.inflows(name)
    ]
    starts = [start for _, start in flows]
    return tuple(source for source, start in flows if starts.count(start) > 1)


def _shape(shape: Shape) -> dict[str, Any]:
    return {"feature_count": shape[0], "size": _xy(shape[1:])}


def _xy(pair: Pair) -> dict[str, int]:
    return {"x": pair[1], "y": pair[0]}
