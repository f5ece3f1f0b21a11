"""A user's module: what its forward calls, read call by call, and refusals that name the module and the line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError, UnsupportedError
from deploytool.convert.torch.modules import from_module
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Add, Concat, Conv, Flatten, SumPool

layers = pytest.importorskip("sinabs.layers", reason="sinabs is not installed")


def neurons() -> nn.Module:
    return layers.IAFSqueeze(batch_size=1, min_v_mem=-1.0)


class Net(nn.Module):
    """Named layers, a block of the user's, and a forward that joins and adds branches."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), neurons())
        self.left, self.left_spikes = nn.Conv2d(4, 4, 3, padding=1, bias=False), neurons()
        self.right, self.right_spikes = nn.Conv2d(4, 4, 1, bias=False), neurons()
        self.drop = nn.Dropout()
        self.pool = nn.AvgPool2d(2)
        self.fc = nn.Linear(8 * 9, 5, bias=False)
        self.out = neurons()

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        left, right = self.left_spikes(self.left(x)), self.right_spikes(self.right(x))
        joined = torch.cat([left, self.drop(left + right)], dim=1)
        return self.out(self.fc(torch.flatten(self.pool(joined), 1)))


def test_a_module_of_named_layers_is_traced() -> None:
    net = Net()
    graph = from_module(net.eval(), (2, 6, 6))
    assert graph.nodes.keys() == {
        "input",
        "stem.0",
        "stem.2",
        "left",
        "left_spikes",
        "right",
        "right_spikes",
        "add",
        "cat",
        "pool",
        "flatten",
        "fc",
        "out",
        "output",
    }
    assert isinstance(graph.nodes["add"], Add)
    assert isinstance(graph.nodes["cat"], Concat)
    assert graph.sources("cat") == ("left_spikes", "add")
    assert graph.targets("stem.2") == ("left", "right")
    assert graph.shapes["cat"] == (8, 6, 6)
    np.testing.assert_array_equal(graph.nodes["fc"].weight, net.fc.weight.detach().numpy())
    assert graph.nodes["out"].floor == -1.0


class Forward(nn.Module):
    """A convolution, neurons, and whatever forward it is given."""

    def __init__(self, forward: Callable[[Any, Tensor], Any], **modules: nn.Module) -> None:
        super().__init__()
        self.conv, self.spikes = nn.Conv2d(2, 2, 1), neurons()
        for name, module in modules.items():
            self.add_module(name, module)
        self.run = forward

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


def test_forms_of_the_same_tensor_are_the_same_node() -> None:
    """Squeezes, views that change nothing, casts, and axes of one."""
    ways: list[Callable[[Any, Tensor], Any]] = [
        lambda net, x: net.conv(x).unsqueeze(1).squeeze(1),
        lambda net, x: net.conv(x.contiguous().to(x.dtype).float()).clone().detach(),
        lambda net, x: net.conv(x[:, :, 0:3]).view(-1, 2, 3, 3)[...],
        lambda net, x: net.conv(x).flatten(2).unflatten(2, (3, 3)),
        lambda net, x: net.conv(x).reshape(len(x), 2, 3, 3).cpu(),
        lambda net, x: net.conv(x).permute(0, 1, 2, 3).expand(-1, -1, -1, -1),
    ]
    for way in ways:
        assert from_module(Forward(way), (2, 3, 3)).order == ("input", "conv", "output")
    one = Forward(lambda net, x: net.conv(x.unsqueeze(1)))
    one.conv = nn.Conv2d(1, 2, 1)
    assert from_module(one, (1, 3, 3)).shapes["output"] == (2, 3, 3), "its input has no axis of features"


def test_global_pooling_in_its_spellings() -> None:
    ways: list[tuple[str, Callable[[Any, Tensor], Any]]] = [
        ("mean", lambda net, x: net.conv(x).mean((2, 3))),
        ("mean", lambda net, x: torch.mean(net.conv(x), dim=(-1, -2), keepdim=True).flatten(1)),
        ("mean", lambda net, x: net.conv(x).flatten(2).mean(-1)),
        ("adaptive_avg_pool2d", lambda net, x: nn.functional.adaptive_avg_pool2d(net.conv(x), 1).squeeze()),
        ("avg_pool2d", lambda net, x: nn.functional.avg_pool2d(net.conv(x), x.shape[-2:])[:, :, 0, 0]),
        ("sum", lambda net, x: net.conv(x).sum((2, 3)) / 12),
    ]
    weight = torch.rand(2, 2, 1, 1)
    for name, way in ways:
        module = Forward(lambda net, x, way=way: net.fc(way(net, x)), fc=nn.Linear(2, 5))
        module.conv.weight.data = weight
        graph = from_module(module, (2, 3, 4))
        assert name in graph.nodes
        pool = graph.nodes[name]
        assert pool.kernel == (3, 4)
        assert graph.shapes["output"] == (5, 1, 1)
    parts = from_module(Forward(lambda net, x: net.conv(x).mean(3).mean(2)), (2, 3, 4))
    assert [parts.nodes[name].kernel for name in ("mean", "mean_1")] == [(1, 4), (3, 1)]
    kept = from_module(Forward(lambda net, x: nn.functional.adaptive_avg_pool2d(net.conv(x), (3, None))), (2, 6, 4))
    assert kept.shapes["output"] == (2, 3, 4)
    with pytest.raises(UnsupportedError, match="AdaptiveAvgPool2d from 3x4 to 2x2; need a size that divides it"):
        from_module(Forward(lambda net, x: nn.functional.adaptive_avg_pool2d(net.conv(x), 2)), (2, 3, 4))


def test_factors_and_shifts_are_folded_into_weights() -> None:
    half = Forward(lambda net, x: net.spikes(net.conv(x / 2) * 3 + torch.tensor([[[0.5]], [[1.0]]])))
    node = from_module(half, (2, 3, 3)).nodes["conv"]
    np.testing.assert_allclose(node.weight, half.conv.weight.detach().numpy() * 1.5, rtol=1e-6)
    np.testing.assert_allclose(node.bias, half.conv.bias.detach().numpy() * 3 + [0.5, 1], rtol=1e-6)
    pooled = Forward(lambda net, x: net.spikes(net.conv(nn.functional.avg_pool2d(x, 2) * 4)))
    graph = from_module(pooled, (2, 4, 4))
    assert isinstance(graph.nodes["avg_pool2d"], SumPool)
    np.testing.assert_array_equal(graph.nodes["conv"].weight, pooled.conv.weight.detach().numpy())


def test_all_ways_to_flatten_and_to_add() -> None:
    ways: list[Callable[[Any, Tensor], Any]] = [
        lambda net, x: net.spikes(net.conv(x)).flatten(1),
        lambda net, x: torch.flatten(net.spikes(net.conv(x)), start_dim=1),
        lambda net, x: net.flat(net.spikes(net.conv(input=x))),
    ]
    for way in ways:
        graph = from_module(Forward(way, flat=nn.Flatten()), (2, 3, 3))
        assert graph.of_type(Flatten)
        assert graph.shapes["output"] == (18, 1, 1)
    for add in (lambda a, b: a + b, torch.add, lambda a, b: a.add(b), lambda a, b: torch.add(input=a, other=b)):
        graph = from_module(Forward(lambda net, x, add=add: net.spikes(add(net.conv(x), x))), (2, 3, 3))
        assert len(graph.of_type(Add)) == 1


LINE = r"\(test_modules\.py:\d+\)"


@pytest.mark.parametrize(
    ("forward", "error", "says"),
    [
        (lambda net, x: torch.relu(net.conv(x)), UnsupportedError, f"forward {LINE}: relu is not supported"),
        (lambda net, x: net.conv(x).view(1, -1), UnsupportedError, f"forward {LINE}: view mixes samples"),
        (lambda net, x: torch.flatten(net.conv(x)), UnsupportedError, f"forward {LINE}: flatten mixes samples"),
        (lambda net, x: net.spikes(net.conv(x)) + 1, UnsupportedError, "add of a constant that is not 0; need Conv2d"),
        (lambda net, x: torch.add(net.conv(x), x, alpha=2), UnsupportedError, "add with alpha 2"),
        (lambda net, x: torch.cat([net.conv(x), x]), UnsupportedError, "cat along axis 0; need the feature axis"),
        (lambda net, x: net.spikes(net.spikes(net.conv(x))), UnsupportedError, f"'spikes' {LINE}: is called twice"),
        (lambda _, x: x + x, UnsupportedError, "takes the same output twice"),
        (lambda net, x: x if net.conv(x).sum() > 0 else 0, InputError, f"{LINE}: reads values of a map .bool"),
        (lambda net, x: net.conv(x) / x.max().item(), InputError, f"{LINE}: reads values of a map .item"),
        (lambda net, x: net.missing(x), InputError, r"its forward raises AttributeError at test_modules\.py:\d+"),
        (lambda net, x: net.norm(net.conv(x)) + net.conv.weight, UnsupportedError, "a constant of shape .2, 2, 1, 1"),
        (lambda net, x: net.conv(x) * torch.rand(1), UnsupportedError, "its forward draws random numbers"),
        (lambda net, _: net.conv.weight, UnsupportedError, "returns a Parameter without any output of its layers"),
    ],
)
def test_what_is_not_understood_is_named(
    forward: Callable[[Any, Tensor], Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        from_module(Forward(forward, norm=nn.BatchNorm2d(2)), (2, 3, 3))


def test_a_batch_norm_of_weights_that_feed_something_else_is_refused() -> None:
    def forward(net: Any, x: Tensor) -> Tensor:
        x = net.drop(net.conv(x))
        return net.norm(x) + net.spikes(x)

    with pytest.raises(
        UnsupportedError, match=rf"module 'norm' {LINE}: a batch norm without its own weights before it"
    ):
        from_module(Forward(forward, norm=nn.BatchNorm2d(2), drop=nn.Dropout()), (2, 3, 3))


def test_a_forward_with_further_arguments() -> None:
    class Optional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1)

        def forward(self, x: Tensor, state: Any = None) -> Tensor:  # noqa: ARG002
            return self.conv(x)  # type: ignore[no-any-return]

    class Two(Optional):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
            return self.conv(x) + y  # type: ignore[no-any-return]

    assert from_module(Optional(), (2, 3, 3)).shapes["output"] == (2, 3, 3)
    with pytest.raises(UnsupportedError, match="forward: y: a second input; need one"):
        from_module(Two(), (2, 3, 3))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    groups=st.sampled_from([1, 2]),
    eps=st.sampled_from([1e-5, 1e-3, 0.5]),
    bias=st.booleans(),
    affine=st.booleans(),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
)
def test_batch_norm_is_folded_with_its_eps(
    seed: int,
    groups: int,
    eps: float,
    bias: bool,
    affine: bool,
    stride: int,
    dilation: int,
    analog: Callable[[Graph, Array], Array],
) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv2d(4, 6, (3, 2), stride, (1, 0), dilation, groups, bias)
    norm = nn.BatchNorm2d(6, eps, affine=affine)
    norm.running_mean.normal_()
    norm.running_var.uniform_(1e-6, 2)
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    module = nn.Sequential(conv, norm).eval().double()
    x = torch.randn(4, 7, 8, dtype=torch.double)
    graph = from_module(module, (4, 7, 8))
    assert isinstance(graph.nodes["0"], Conv)
    np.testing.assert_allclose(analog(graph, x.numpy()), module(x[None])[0].detach().numpy(), rtol=1e-9, atol=1e-9)
