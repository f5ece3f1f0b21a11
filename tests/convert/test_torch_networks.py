"""Networks as people write them: each is converted, and gives the spikes, or the outputs, of its module.

torch.fx makes a graph of 34 of these 37; in 4 of them it knows no sizes, and in 3 it shows weights that the module does
not use. torch.export makes one of 36, with 73 to 252 operations in place of a spiking network's 4 to 11 nodes; its
strict mode makes none of a spiking one. (torch 2.13; docs/trust.md tells the same.)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers.torch_networks import ANALOG, SHAPE, SPIKING, build
from torch import Tensor, nn

from deploytool.base.arrays import Array
from deploytool.convert.nir import read_nir, write_nir
from deploytool.convert.torch.modules import from_module
from deploytool.convert.torch.wrappers import unwrap
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Spike

STEPS = 12
TIMED = ("FlattenTime", "Repeat and IAF", "unpacked time")


def first_tensor(answer: Any) -> Tensor:
    while not isinstance(answer, Tensor):
        answer = next(iter(answer.values())) if isinstance(answer, dict) else answer[0]
    return answer


def spikes_of(module: nn.Module, maps: Tensor, timed: bool) -> Array:
    """What ``module`` gives for ``maps`` (T, C, H, W), one sample in T steps."""
    for layer in module.modules():
        if "batch_size" in vars(layer):
            layer.batch_size = 1
            layer.num_timesteps = -1
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        answer = first_tensor(module.float()(maps[None] if timed else maps))
    return answer.numpy().reshape(STEPS, -1)


@pytest.mark.parametrize("name", SPIKING)
def test_a_spiking_network_gives_its_spikes(name: str, clocked: Callable[[Graph, Array], Array]) -> None:
    module = build(name)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    notes: list[str] = []
    graph = from_module(module, SHAPE, tell=notes.append)
    for key, value in module.state_dict().items():
        assert value.dtype == before[key].dtype
        assert torch.equal(value, before[key]), "the module is left as it was"
    maps = torch.poisson(torch.full((STEPS, *SHAPE), 1.5), torch.Generator().manual_seed(2))
    module = unwrap(module, lambda _: None)
    theirs = spikes_of(module, maps, name in TIMED)
    assert theirs.any(), "nothing fires: nothing would be compared"
    np.testing.assert_array_equal(clocked(graph, maps.numpy()).reshape(STEPS, -1), theirs)


@pytest.mark.parametrize("name", ANALOG)
def test_an_analog_network_gives_its_outputs(name: str, analog: Callable[[Graph, Array], Array]) -> None:
    module = build(name)
    graph = from_module(module, SHAPE, relu=Spike(), tell=lambda _: None)
    x = torch.randn(SHAPE)
    with torch.no_grad():
        theirs, ours = module(x[None])[0].numpy(), analog(graph, x.numpy()).reshape(-1)
    if name == "LeNet":
        ours = ours - np.log(np.exp(ours).sum())  # its log_softmax is left out
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["sequential", "standardised weights", "channels_last"])
def test_what_was_read_can_be_written(name: str, tmp_path: Any) -> None:
    graph = from_module(build(name), SHAPE)
    write_nir(graph, tmp_path / "net.nir")
    assert read_nir(tmp_path / "net.nir").digest == graph.digest


def test_layers_have_the_names_that_people_gave_them() -> None:
    nodes = {name: from_module(build(name), SHAPE, tell=lambda _: None).order for name in SPIKING}
    assert nodes["inherited forward"] == (
        *("input", "conv1", "spk1", "pool", "conv2", "spk2", "pool_1", "flatten", "fc", "spk3", "output"),
    )
    assert nodes["layers input and output"] == ("input", "input_", "spk1", "flatten", "output_", "spk2", "output")
    assert {"merge", "cat"} < set(nodes["Merge and cat"])
    assert nodes["DataParallel"] == nodes["sequential"] == nodes["torch.compile"]
    assert nodes["ModuleList with shortcuts"][1] == "stem"
    assert {"layers.0", "add", "layers.1", "add_1"} < set(nodes["ModuleList with shortcuts"])


def test_a_small_network_takes_less_than_a_second() -> None:
    module = build("view(size, -1)")
    spent = []
    for _ in range(3):
        started = time.thread_time()
        from_module(module, SHAPE)
        spent.append(time.thread_time() - started)
    assert min(spent) < 1
