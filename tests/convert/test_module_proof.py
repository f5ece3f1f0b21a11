"""A module is what it computes: its effective weights are read, and what cannot be read is refused, never guessed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers.torch_networks import SHAPE, conv, iaf, sl
from torch import Tensor, nn
from torch.nn import functional as F

from deploytool.base.errors import DeployError, InputError, UnsupportedError
from deploytool.convert.torch.modules import from_module
from deploytool.ir.graph import Graph


def net(*more: nn.Module) -> nn.Sequential:
    return nn.Sequential(conv(), iaf(), *more)


def read(module: nn.Module) -> tuple[Graph, list[str]]:
    notes: list[str] = []
    return from_module(module, SHAPE, tell=notes.append), notes


def one_event() -> Tensor:
    x = torch.zeros(1, *SHAPE)
    x[0, 0, 8, 8] = 1
    return x


def assert_layer_is(module: nn.Module, graph: Graph, first: str = "0") -> None:
    """The first layer gives for one event what the convolution ``first`` of ``graph`` gives."""
    node = graph.nodes[first]
    bias = None if node.bias is None else torch.tensor(node.bias)
    with torch.no_grad():
        theirs = module[0](one_event())
    assert theirs.abs().max() > 0.1
    torch.testing.assert_close(theirs, F.conv2d(one_event(), torch.tensor(node.weight), bias, padding=1))


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_weights_of_before_the_state_dict_was_loaded_are_not_read() -> None:
    """The weight that weight norm and pruning keep is that of the last forward, here of none at all."""

    def make(seed: int, wrap: Callable[[nn.Module], nn.Module]) -> nn.Sequential:
        torch.manual_seed(seed)
        return nn.Sequential(wrap(conv()), iaf())

    def prune(layer: nn.Module) -> nn.Module:
        torch.nn.utils.prune.l1_unstructured(layer, "weight", 0.5)
        return layer

    for wrap in (torch.nn.utils.weight_norm, torch.nn.utils.spectral_norm, prune):
        trained, fresh = make(0, wrap), make(1, wrap)
        trained[0](one_event())
        fresh.load_state_dict(trained.state_dict(), strict=False)
        stale = fresh[0].weight.detach().clone()
        graph, _ = read(fresh.eval())
        assert_layer_is(fresh, graph)
        assert not np.allclose(graph.nodes["0"].weight, stale.numpy()), "the case tests nothing"


def test_hooks_that_scale_or_shift_are_folded_and_told() -> None:
    for hook in (lambda *given: given[-1] * 2, lambda *given: given[-1] + 0.25, lambda *given: given[-1].mul_(0.5)):
        module = net()
        module[0].register_forward_hook(hook)
        graph, notes = read(module)
        assert_layer_is(module, graph)
        assert len(notes) == 1
        assert re.fullmatch(r"module '0' \(test_module_proof\.py:\d+\): its hook \(\w+\) is .*", notes[0])
    module = net()
    module[0].register_forward_pre_hook(lambda _module, given: (given[0] * 3,))
    assert_layer_is(module, read(module)[0])


def test_hooks_may_look_at_values_but_not_use_them() -> None:
    seen: list[float] = []
    module = net(nn.AvgPool2d(2))
    for layer in module:
        layer.register_forward_hook(lambda _module, _given, answer: seen.append(answer.mean().item()))
    assert not read(module)[1]
    assert seen
    module[0].register_forward_hook(lambda *given: given[-1] / given[-1].max().item())
    with pytest.raises(UnsupportedError, match=r"fire differently from the conv|differs by"):
        from_module(module, SHAPE)
    wrapped = nn.DataParallel(net())
    wrapped.register_forward_hook(lambda *given: given[-1].clamp(max=1))
    with pytest.raises(UnsupportedError, match=r"test_module_proof\.py:\d+\): clamp is not supported"):
        from_module(wrapped, SHAPE)


@pytest.mark.filterwarnings("ignore:SNNAnalyzer is deprecated:DeprecationWarning")
def test_hooks_that_count_for_sinabs_change_nothing() -> None:
    from sinabs.synopcounter import SNNAnalyzer

    module = net()
    counter = SNNAnalyzer(module)
    module(torch.rand(5, *SHAPE))
    counted = counter.get_model_statistics()["synops"]
    read(module)
    assert counter.get_model_statistics()["synops"] == counted
    assert module[0]._forward_hooks


def on_neurons(hook: Callable[..., Any], before: bool = False) -> nn.Module:
    module = net()
    (module[1].register_forward_pre_hook if before else module[1].register_forward_hook)(hook)
    return module


def on_weights(hook: Callable[..., Any], before: bool = False) -> nn.Module:
    module = net()
    (module[0].register_forward_pre_hook if before else module[0].register_forward_hook)(hook)
    return module


class Halved(sl.IAFSqueeze):
    """Neurons that halve their input."""

    def forward(self, currents: Tensor) -> Tensor:
        return super().forward(currents * 0.5)


class Forward(nn.Module):
    """Layers, and a forward that is given."""

    def __init__(self, forward: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.conv, self.spk, self.fc, self.out = conv(), iaf(), nn.Linear(1024, 10), iaf()
        self.run = forward

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


def changed_behind_another_name(net: Any, x: Tensor) -> Tensor:
    spikes = net.spk(net.conv(x))
    spikes.flatten(1).sub_(0.3)
    return net.out(net.fc(spikes.flatten(1)))


def kept_and_overwritten(net: Any, x: Tensor) -> Tensor:
    currents = net.conv(x)
    currents[:, 0] = 0
    return net.spk(currents)


def fake_quantised() -> nn.Module:
    module = net().train()
    module.qconfig = torch.ao.quantization.get_default_qat_qconfig("fbgemm")
    return torch.ao.quantization.prepare_qat(module)


HERE = r"\(test_module_proof\.py:\d+\)"


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (
            lambda: on_weights(lambda *given: given[-1].clamp(0, 1)),
            f"'0' {HERE}: a hook changes .* by up to .*handle.rem",
        ),
        (lambda: on_weights(lambda _, given: (given[0].clamp(max=1),), before=True), "'0' .*a hook changes"),
        (
            lambda: on_weights(lambda *given: given[-1] + torch.randn_like(given[-1])),
            "its forward draws random numbers",
        ),
        (
            lambda: on_neurons(lambda *given: given[-1] * 2),
            r"module '1': \d+ of 1024 neurons do not fire as threshold.*up to 2",
        ),
        (
            lambda: on_neurons(lambda _, given: (given[0] / 2,), before=True),
            r"module '1': \d+ of 1024 neurons do not fire",
        ),
        (
            lambda: nn.Sequential(conv(), Halved(batch_size=1)),
            r"module '1': \d+ of 1024 neurons do not fire as threshold",
        ),
        (lambda: nn.Sequential(conv(), sl.IAF()), r"module '1': neurons that expect \(samples, time steps"),
        (fake_quantised, r"'0.activation_post_process': fused_.*by up to 0\.0.*disable_fake_quant"),
        (lambda: Forward(changed_behind_another_name), "layer 'fc': gives up to .* differs by up to"),
        (lambda: Forward(kept_and_overwritten), f"forward {HERE}: setitem is not supported"),
        (lambda: nn.Sequential(torch.jit.script(conv()), iaf()), "module '0': a TorchScript module"),
        (
            lambda: net(nn.BatchNorm2d(4, track_running_stats=False)),
            "module '2': a batch norm that uses batch statistics",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*(torch.ao.quantization|torch.jit.script).* is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Please use quant_min:UserWarning", "ignore:_aminmax is deprecated:UserWarning")
def test_what_computes_something_else_is_refused_with_the_way_out(build: Callable[[], nn.Module], says: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(UnsupportedError, match=says) as error:
        from_module(build(), SHAPE)
    assert len(error.value.problems) == 1


def test_weights_that_are_rounded_before_each_use_are_read_rounded() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(conv(), iaf())
    rounded = nn.utils.parametrize.register_parametrization
    rounded(module[0], "weight", type("Round", (nn.Module,), {"forward": lambda _, w: torch.round(w * 8) / 8})())
    graph, _ = read(module)
    assert_layer_is(module, graph)
    assert set(np.unique(graph.nodes["0"].weight * 8 % 1)) == {0.0}


def test_training_mode_and_dropout_that_stays_on_are_told() -> None:
    module = nn.Sequential(conv(), nn.BatchNorm2d(4), iaf(), nn.Dropout(0.5)).train()
    module[1].running_mean.fill_(0.5)
    module[1].running_var.fill_(4)
    graph, notes = read(module)
    assert notes == ["torch.Sequential is in training mode; it is converted in eval mode (BatchNorm2d, Dropout)"]
    np.testing.assert_allclose(graph.nodes["0"].weight, module[0].weight.detach().numpy() / 2, rtol=1e-4)
    np.testing.assert_allclose(graph.nodes["0"].bias, -0.25, rtol=1e-4)
    assert module[1].training
    assert float(module[1].running_var[0]) == 4
    _, notes = read(Forward(lambda net, x: net.spk(F.dropout(net.conv(x)))))
    assert len(notes) == 1
    assert "dropout that is always on is ignored; pass training=self.training" in notes[0]


def test_what_the_forward_leaves_out_is_told() -> None:
    def with_a_head(net: Any, x: Tensor) -> Tensor:
        spikes = net.spk(net.conv(x))
        net.fc(spikes.flatten(1))
        return spikes

    _, notes = read(Forward(with_a_head))
    assert re.fullmatch(
        rf"module 'fc' {HERE}: ignored, because the output of the network does not depend on it", notes[0]
    )
    _, notes = read(Forward(lambda net, x: net.out(net.fc(net.spk(net.conv(x)).flatten(1))).softmax(-1)))
    assert notes == ["ignored the softmax at the end: the prediction is the class with the most spikes"]

    def counted(net: Any, x: Tensor) -> Tensor:
        steps = net.spk(net.conv(x.flatten(0, 1))).unflatten(0, x.shape[:2])
        return steps.mean(1)

    _, notes = read(Forward(counted))
    assert notes[0].startswith("ignored the mean over samples or time steps at the end")


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_every_floating_type_are_read_exactly(kind: torch.dtype) -> None:
    module = net(nn.AvgPool2d(2), conv(4, 4), iaf()).to(kind)
    graph, _ = read(module)
    for name, layer in (("0", module[0]), ("3", module[3])):
        assert layer.weight.dtype == kind
        assert graph.nodes[name].weight.dtype == (np.float64 if kind == torch.float64 else np.float32)
        np.testing.assert_array_equal(graph.nodes[name].weight, layer.weight.detach().double().numpy())
    assert graph.nodes["1"].threshold == 1.0


def test_autocast_rounds_nothing() -> None:
    def cast(net: Any, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return net.spk(net.conv(x).float())

    module = Forward(cast)
    np.testing.assert_array_equal(read(module)[0].nodes["conv"].weight, module.conv.weight.detach().numpy())


def test_weights_without_values_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"module '0': weight is a meta tensor.*assign=True"):
        from_module(net().to("meta"), SHAPE)
    with pytest.raises(InputError, match="module '0': weight of a lazy layer has no values yet"):
        from_module(nn.Sequential(nn.LazyConv2d(4, 3)), SHAPE)


def foreign(package: str, name: str) -> nn.Module:
    kind = type(name, (nn.Module,), {"__module__": f"{package}.neurons", "forward": lambda _, x: (x, x)})
    return kind()


class Leaky(nn.Module):
    """Stands in for snnTorch's neurons."""

    def forward(self, x: Tensor) -> Tensor:
        return x


Leaky.__module__ = "snntorch._neurons.leaky"


@pytest.mark.parametrize(
    ("package", "export"),
    [
        ("snntorch", r"snntorch\.export_nir\.export_to_nir\(net, sample"),
        ("spikingjelly", r"spikingjelly\.activation_based\.nir_exchange\.export_to_nir\(net, sample\)"),
        ("norse", r"norse\.torch\.to_nir\(net\)"),
    ],
)
def test_neurons_of_other_packages_are_refused_with_their_export(package: str, export: str) -> None:
    module = Forward(lambda net, x: net.out(net.fc(net.lif(net.conv(x))[0].flatten(1))))
    module.lif = foreign(package, "Leaky")
    with pytest.raises(UnsupportedError, match=rf"module 'lif' {HERE}: a layer of {package}; need.*{export}") as error:
        from_module(module, SHAPE)
    assert len(error.value.problems) == 1


def test_many_neurons_of_another_package_are_one_problem() -> None:
    with pytest.raises(
        UnsupportedError, match=r"module '1': a layer of snntorch \(and 2 more\).*init_hidden=True"
    ) as error:
        from_module(nn.Sequential(conv(), *[Leaky() for _ in range(3)]), SHAPE)
    assert len(error.value.problems) == 1


def test_leaky_neurons_of_sinabs_are_refused_by_name() -> None:
    class Own(sl.LIFSqueeze):
        """A class made from LIFSqueeze."""

    for kind, says in (
        (sl.LIFSqueeze, r"sinabs\.LIFSqueeze is not"),
        (Own, r"Own, made from sinabs\.LIFSqueeze, is"),
    ):
        with pytest.raises(UnsupportedError, match=rf"module '1': .*{says}.*Train with IAFSqueeze"):
            from_module(nn.Sequential(conv(), kind(tau_mem=20.0, batch_size=1)), SHAPE)


@pytest.mark.parametrize(
    ("forward", "says"),
    [
        (
            lambda net, x: torch.stack([net.spk(net.conv(x[:, t])) for t in range(x.shape[1])]),
            "getitem picks.*FlattenTime",
        ),
        (lambda net, x: net.spk(net.conv(x)).permute(0, 2, 3, 1), "permute picks or reorders values"),
        (lambda net, x: net.spk(net.conv(x)) * net.conv(x), "mul of two tensors of the network"),
        (lambda net, x: F.max_pool2d(net.spk(net.conv(x)), 2), "max_pool2d is not supported.*average pooling"),
        (lambda net, x: net.spk(net.conv(x)).int(), "int is not supported"),
        (lambda net, x: torch.from_numpy(net.conv(x).numpy()), "reads values of a map .numpy."),
        (lambda net, x: net.spk(net.conv(x)) * 0.5, "an output that is multiplied"),
        (lambda net, x: net.fc(net.conv(x)), r"its forward raises RuntimeError at test_module_proof\.py:\d+"),
    ],
)
def test_forwards_that_stay_refused_name_the_line(forward: Callable[[Any, Tensor], Any], says: str) -> None:
    with pytest.raises(DeployError, match=says):
        from_module(Forward(forward), SHAPE)
