"""Modules of torch and sinabs: the same outputs, and refusal by name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError, UnsupportedError, UsageError
from deploytool.convert.nir import read_nir, write_nir
from deploytool.convert.torch.builder import load_builder
from deploytool.convert.torch.modules import from_module
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Spike


class IAFSqueeze(nn.Module):
    """Stands in for sinabs's layer, with its attributes, and does what they say."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        reset = type("MembraneSubtract", (), {"subtract_value": None})()
        standard = {
            "spike_threshold": torch.tensor(1.0),
            "min_v_mem": None,
            "tau_syn": None,
            "reset_fn": reset,
            "spike_fn": type("MultiSpike", (), {}),
        }
        for name, value in {**standard, **changes}.items():
            setattr(self, name, value)

    def forward(self, currents: Tensor) -> Tensor:
        v, spikes = torch.zeros_like(currents[0]), []
        for current in currents:
            v = v + current
            fired = torch.clamp(torch.floor(v / self.spike_threshold), min=0)
            zero = type(self.reset_fn).__name__ == "MembraneReset"
            v = v * (fired == 0) if zero else v - fired * self.spike_threshold
            v = v if self.min_v_mem is None else torch.maximum(v, torch.as_tensor(self.min_v_mem))
            spikes.append(fired)
        return torch.stack(spikes)


IAFSqueeze.__module__ = "sinabs.layers.iaf"
ZERO = type("MembraneReset", (), {"reset_value": 0.0})()


def spike(**changes: Any) -> Spike:
    node = from_module(nn.Sequential(IAFSqueeze(**changes)), (2, 3, 3)).nodes["0"]
    assert isinstance(node, Spike)
    return node


def test_torch_layers_compute_what_they_did(tmp_path: Path, analog: Callable[[Graph, Array], Array]) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4, eps=0.1)
    module = nn.Sequential(
        OrderedDict(
            features=nn.Sequential(
                nn.Conv2d(2, 4, 3, stride=(2, 1), padding="valid", bias=False),
                norm,
                nn.Dropout2d(),
                nn.AvgPool2d((2, 1)),
                nn.Conv2d(4, 4, 3, padding="same", groups=2),
                nn.Identity(),
            ),
            flatten=nn.Flatten(),
            fc=nn.Linear(56, 5),
            norm=nn.BatchNorm1d(5, affine=False),
        )
    )
    for _ in range(3):
        module(torch.randn(8, 2, 9, 9) * 3 + 1)
    graph = from_module(module.eval(), (2, 9, 9))
    values = torch.randn(2, 9, 9)
    np.testing.assert_allclose(
        analog(graph, values.numpy()).reshape(-1), module(values[None])[0].detach().numpy(), rtol=1e-4, atol=1e-5
    )
    assert graph.order == ("input", "features.0", "features.3", "features.4", "flatten", "fc", "output")
    write_nir(graph, tmp_path / "net.nir")
    assert read_nir(tmp_path / "net.nir", "subtract").digest == graph.digest


def test_neurons_keep_threshold_floor_and_reset() -> None:
    assert vars(spike()) == vars(Spike())
    low = spike(min_v_mem=torch.tensor(-2.0), spike_threshold=torch.tensor(0.5), reset_fn=ZERO)
    assert (low.threshold, low.floor, low.reset, low.at_most_one) == (0.5, -2.0, "zero", True)
    with pytest.raises(InputError, match=r"min_v_mem is 0\.25; need at most 0, or None"):
        spike(min_v_mem=torch.tensor(0.25))
    assert spike(spike_threshold=torch.ones(2, 3, 3)).threshold == 1.0
    assert spike(spike_threshold=torch.arange(1.0, 19).reshape(2, 3, 3)).threshold.shape == (2, 3, 3)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"tau_syn": 2.0}, UnsupportedError, "synaptic time constant"),
        ({"spike_fn": SimpleNamespace()}, UnsupportedError, "spike_fn SimpleNamespace"),
        ({"reset_fn": print}, UnsupportedError, "reset_fn"),
        ({"reset_fn": type("MembraneSubtract", (), {"subtract_value": 0.5})()}, UnsupportedError, "reset_fn"),
        ({"min_v_mem": torch.arange(3.0)}, UnsupportedError, "min_v_mem per neuron"),
        ({"spike_threshold": torch.tensor(0.0)}, InputError, "spike_threshold is 0.0"),
    ],
)
def test_neurons_of_another_kind_are_refused(changes: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=rf"module '0'.*{says}"):
        spike(**changes)


def test_everything_unknown_is_named_at_once() -> None:
    block = nn.Sequential(nn.MaxPool2d(2), nn.ReLU(), nn.AvgPool2d(2, padding=1), nn.BatchNorm2d(2), nn.Flatten(0))
    with pytest.raises(UnsupportedError) as error:
        from_module(nn.Sequential(nn.Tanh(), block), (2, 6, 6))
    assert [problem.split("'")[1] for problem in error.value.problems] == ["0", "1.0", "1.1", "1.2", "1.3", "1.4"]
    assert "torch.MaxPool2d is not supported" in str(error.value)
    with pytest.raises(UnsupportedError, match=r"'module': torch\.Tanh is not supported"):
        from_module(nn.Tanh(), (2, 6, 6))
    with pytest.raises(UnsupportedError, match=r"torch\.ModuleList: has no forward but contains 1 modules"):
        from_module(nn.ModuleList([nn.Tanh()]), (2, 6, 6))


def test_weights_that_are_not_finite_are_refused() -> None:
    layer = nn.Linear(3, 2)
    nn.init.constant_(layer.weight, float("nan"))
    with pytest.raises(InputError, match="module '0': weight has 6 values"):
        from_module(nn.Sequential(layer), (3, 1, 1))


def test_a_module_of_sinabs_itself(analog: Callable[[Graph, Array], Array]) -> None:
    layers = pytest.importorskip("sinabs.layers", reason="sinabs is not installed")
    activation = pytest.importorskip("sinabs.activation")
    module = nn.Sequential(
        nn.Conv2d(2, 3, 3, bias=False),
        layers.IAFSqueeze(batch_size=1, min_v_mem=-1.0),
        layers.SumPool2d(2),
        nn.Flatten(),
        nn.Linear(12, 4, bias=False),
        layers.IAFSqueeze(batch_size=1, spike_fn=activation.SingleSpike, reset_fn=activation.MembraneReset()),
    )
    graph = from_module(module, (2, 6, 6))
    first, last = graph.nodes["1"], graph.nodes["5"]
    assert (first.threshold, first.floor, first.reset) == (1.0, -1.0, "subtract")
    assert (last.threshold, last.floor, last.reset) == (1.0, None, "zero")
    x = torch.rand(2, 6, 6)
    pooled = nn.Sequential(module[0], nn.ReLU(), module[2], module[3], module[4], nn.ReLU())(x[None])[0]
    np.testing.assert_allclose(analog(graph, x.numpy()).reshape(-1), pooled.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_a_builder_is_code_of_the_user_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "users_nets.py").write_text(
        "from torch import nn\n"
        "def build():\n    return nn.Sequential(nn.Flatten())\n"
        "def fail():\n    raise ValueError('no such layer')\n"
        "def number():\n    return 3\n"
        "net = nn.Sequential(nn.Flatten())\n"
    )
    (tmp_path / "users_mistake.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    module = load_builder("users_nets:build")()
    assert capsys.readouterr().err == f"running your code: users_nets:build, in {tmp_path / 'users_nets.py'}\n"
    assert from_module(module, (2, 2, 2)).shapes["output"] == (8, 1, 1)
    assert from_module(load_builder("users_nets:net")(), (2, 2, 2)).shapes["output"] == (8, 1, 1)
    for name, says in (
        ("users_nets:fail", "raised ValueError: no such layer"),
        ("users_nets:number", "returned a int"),
        ("sys:exit", "raised SystemExit"),
        ("users_mistake:build", "raised ZeroDivisionError"),
    ):
        with pytest.raises(InputError, match=says):
            load_builder(name)()
    for name in ("users_nets:nothing", "no_such_module:build", ":build"):
        with pytest.raises(UsageError, match="cannot be imported"):
            load_builder(name)


class DVSLayer(nn.Module):
    """Stands in for sinabs's layer for the sensor, whose package cannot be imported without the vendor's library."""

    def __init__(self, pool: int = 1, crop: int = 0, flip: bool = False) -> None:
        super().__init__()
        self.pool_layer = nn.LPPool2d(1, pool)
        self.crop, self.flip = crop, flip

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool_layer(x)
        x = x[:, :, self.crop : x.shape[2] - self.crop, self.crop : x.shape[3] - self.crop]
        return x.flip(3) if self.flip else x


DVSLayer.__module__ = "sinabs.backend.dynapcnn.dvs_layer"


def test_a_layer_for_the_sensor_is_its_pooling() -> None:
    for pool, kinds in ((1, ["Input", "Conv"]), (2, ["Input", "SumPool", "Conv"])):
        notes: list[str] = []
        graph = from_module(nn.Sequential(DVSLayer(pool), nn.Conv2d(2, 4, 3)), (2, 16, 16), tell=notes.append)
        assert [type(graph.nodes[name]).__name__ for name in graph.order[:-1]] == kinds
        assert notes == [
            "module '0': only the pooling of the DVSLayer is converted; [map.dvs] of a recipe sets the sensor"
        ]
    for layer in (DVSLayer(crop=2), DVSLayer(flip=True), DVSLayer(2, 1, True)):
        with pytest.raises(
            UnsupportedError, match=r"module '0': a DVSLayer that crops.*\[map\.dvs\] of a recipe"
        ) as error:
            from_module(nn.Sequential(layer, nn.Conv2d(2, 4, 3)), (2, 16, 16))
        assert len(error.value.problems) == 1


def test_a_network_made_for_the_chip_says_what_to_convert() -> None:
    made = type("DynapcnnNetwork", (nn.Module,), {"__module__": "sinabs.backend.dynapcnn.dynapcnn_network"})()
    for module, where in ((made, "sinabs.DynapcnnNetwork"), (nn.Sequential(nn.Identity(), made), "module '1'")):
        with pytest.raises(
            UnsupportedError,
            match=rf"{where}: DynapcnnNetwork has layers already .*Convert the spiking model it was built",
        ):
            from_module(module, (2, 16, 16))


def test_a_threshold_for_each_feature_or_neuron_is_one_for_each_neuron() -> None:
    for shape in ((2, 1, 1), (2, 3, 3)):
        threshold = torch.rand(shape) + 0.5
        found = spike(spike_threshold=threshold).threshold
        np.testing.assert_array_equal(found, np.broadcast_to(threshold.numpy(), (2, 3, 3)))
    with pytest.raises(
        UnsupportedError, match=r"a spike_threshold of shape \(5, 1, 1\); need one that fits \(2, 3, 3\)"
    ):
        spike(spike_threshold=torch.rand(5, 1, 1) + 0.5)
