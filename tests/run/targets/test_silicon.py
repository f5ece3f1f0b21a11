"""The emulator against spike counts measured on a Speck (speck2fmodule): first layer, five N-MNIST samples.

The network, the events that were sent and the counts are those of the NIR paper's repository (neuromorphs/NIR,
paper/02_cnn). Measured there: pooled difference 1.03 % over ten samples, of which these five are a part.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.layers import changed

from deploytool.chip.chips import CHIPS
from deploytool.convert.nir import read_nir
from deploytool.data.formats.files import file_events
from deploytool.data.formats.reading import AT_CLOCK
from deploytool.ir.events import EventStream
from deploytool.ir.program import Program
from deploytool.ir.target import Watch
from deploytool.map.compile import compile_graph
from deploytool.run.targets.table import make_target

POOLED_LIMIT = 0.012


@pytest.fixture(scope="module")
def measured(shared_data: Path) -> dict[int, np.ndarray]:
    """{digit: spikes of each neuron (C, H, W) = (16, 16, 16)} on silicon."""
    with np.load(shared_data / "chip" / "speck_layer1_counts.npz") as columns:
        return dict(zip(columns["digit"].tolist(), columns["counts"].astype(np.int64), strict=True))


@pytest.fixture(scope="module")
def program(shared_data: Path) -> Program:
    graph = read_nir(shared_data / "chip" / "cnn_sinabs.nir", reset="subtract", floor=-1.0)
    return compile_graph(graph, CHIPS["speck2e"]).program


@pytest.fixture(scope="module")
def sent(shared_data: Path, measured: dict[int, np.ndarray]) -> dict[int, EventStream]:
    """{digit: the events that the chip got}, as they were recorded."""
    samples = {}
    for digit in measured:
        (path,) = (shared_data / "chip").glob(f"digit{digit}_*.bin")
        events = file_events(path, "bin", (2, 34, 34), AT_CLOCK)
        samples[digit] = EventStream(events, (2, 34, 34), int(events["t"][-1]) + 1, digit, path.name)
    return samples


def emulate(program: Program, sent: dict[int, EventStream]) -> dict[int, np.ndarray]:
    """{digit: spikes of each neuron (C, H, W) of the first layer}."""
    first = next(iter(program.layers))
    return dict(
        zip(sent, make_target("emulator").run(program, sent.values(), Watch((first,))).counts[first], strict=True)
    )


@pytest.fixture(scope="module")
def emulated(program: Program, sent: dict[int, EventStream]) -> dict[int, np.ndarray]:
    return emulate(program, sent)


def pooled(measured: dict[int, np.ndarray], found: dict[int, np.ndarray]) -> float:
    """Sum of |measured - found| over the sum of measured, over all neurons and samples."""
    difference = sum(int(np.abs(measured[digit] - found[digit]).sum()) for digit in measured)
    return difference / sum(int(counts.sum()) for counts in measured.values())


def test_the_threshold_is_the_one_that_was_flashed(program: Program) -> None:
    first = next(iter(program.layers.values()))
    assert (first.neurons.threshold, first.neurons.floor) == (72, -72)


def test_the_pooled_difference_is_small(measured: dict[int, np.ndarray], emulated: dict[int, np.ndarray]) -> None:
    assert pooled(measured, emulated) <= POOLED_LIMIT


def test_digit_one_agrees_on_every_neuron(measured: dict[int, np.ndarray], emulated: dict[int, np.ndarray]) -> None:
    assert measured[1].size == 4096
    assert np.array_equal(measured[1], emulated[1])


def test_the_other_axis_order_does_not_agree(measured: dict[int, np.ndarray], emulated: dict[int, np.ndarray]) -> None:
    swapped = {digit: counts.transpose(0, 2, 1) for digit, counts in emulated.items()}
    assert pooled(measured, swapped) > 0.5


@pytest.mark.parametrize(("rule", "least"), [({"reset": "zero"}, 0.05), ({"floor": -32768}, 0.3)])
def test_another_rule_is_far_off(
    program: Program,
    sent: dict[int, EventStream],
    measured: dict[int, np.ndarray],
    rule: dict[str, object],
    least: float,
) -> None:
    name, layer = next(iter(program.layers.items()))
    other = program.with_layers({**program.layers, name: changed(layer, **rule)})
    assert pooled(measured, emulate(other, sent)) > least
