"""A whole training step (forward, backward, optimizer) of one network on one thread, compared with other libraries.

The network is that of recipes/digits.toml, on as many random events, in the mode in which recipes are trained: with
weights of 8 bits. The other libraries lack quantisation, so the weights are chosen such that rounding leaves them as
they are: whole numbers up to 127, the largest of each layer, times a power of two. All have the same weights, the same
neurons (as far as they support them: see `PEERS`) and the same loss, and sums of such weights are exact in float32, so
that all see the same spikes. A row gives the difference between the gradients of the first step, relative to the
largest of each layer, and also the time of the same network with its layers in turn, as it runs outside of training.
All run with deterministic algorithms, as training does.
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deploytool.bench.speed.timing import in_turn
from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.train.device import keep_freed_memory, reproducible
from deploytool.train.loop.losses import loss_of
from deploytool.train.network.spiking import SpikingNetwork

STEPS: Final = (10, 30, 100)
BATCH: Final = 32
EVENTS: Final = 1000
"""Number of events per sample, about that of a digit."""

IN_A_ROW: Final = 4
"""Number of steps per measurement. Training runs its steps one after the other, so a step finds in the caches what the
one before it used; a step that follows one of another library finds nothing there."""

NETWORK: Final = NetworkSection.model_validate(
    {
        "input": (2, 16, 16),
        "layers": [
            {"type": "conv", "out": 8, "kernel": 3, "padding": 1},
            {"type": "spike"},
            {"type": "sumpool", "kernel": 2},
            {"type": "conv", "out": 16, "kernel": 3, "padding": 1},
            {"type": "spike"},
            {"type": "sumpool", "kernel": 2},
            {"type": "flatten"},
            {"type": "linear", "out": 10},
            {"type": "spike"},
        ],
    }
)


def training_steps() -> list[dict[str, Any]]:
    """Milliseconds per step for every library of `PEERS`, over time steps; "not run" if one is missing."""
    torch.set_num_threads(1)
    keep_freed_memory()
    rows = []
    for name, peer in PEERS.items():
        if importlib.util.find_spec(peer.module) is None:
            rows.append({"peer": name, "result": f"not run: {name} is not installed"})
            continue
        with reproducible():
            rows += [row(name, steps) for steps in STEPS]
    return rows


@dataclass(frozen=True)
class Peer:
    """A library, in ``module``: ``build(weights, time_steps)`` gives (parameters by layer, frames -> output spikes).

    ``keys`` of [train] and ``floor`` select neurons that the library has.
    """

    module: str
    build: Callable[[Mapping[str, Tensor], int], tuple[Mapping[str, Tensor], Callable[[Tensor], Tensor]]]
    keys: Mapping[str, Any]
    floor: float | None


def row(name: str, steps: int) -> dict[str, Any]:
    """The figures of one peer at ``steps`` time steps."""
    peer = PEERS[name]
    generator = torch.Generator().manual_seed(0)
    spec = TrainSection.model_validate(
        {
            "time_steps": steps,
            "epochs": 1,
            "batch": BATCH,
            "learning_rate": 1e-3,
            **peer.keys,
        }
    )
    net = SpikingNetwork(NETWORK, ConstraintsSection(floor=peer.floor), spec)
    rate = EVENTS / (steps * 2 * 16 * 16)
    frames = torch.poisson(torch.full((steps, BATCH, 2, 16, 16), rate), generator=generator)
    labels = torch.arange(BATCH) % 10
    weights = {key: _eight_bits(tensor) for key, tensor in net.initial_weights(generator).items()}
    theirs, forward = peer.build({key: tensor.clone() for key, tensor in weights.items()}, steps)
    ours = {key: tensor.requires_grad_() for key, tensor in weights.items()}

    own_step = _step(ours, lambda: net.run(ours, frames, measure=True).output, labels, spec)
    plain_step = _step(ours, lambda: net.run(ours, frames).output, labels, spec)
    peer_step = _step(theirs, lambda: forward(frames), labels, spec)
    own_step()
    peer_step()
    difference = max(_apart(tensor.grad, theirs[key].grad) for key, tensor in ours.items())
    sides = [_repeated(step) for step in (own_step, plain_step, peer_step)]
    own, plain, other = (seconds / IN_A_ROW for seconds in in_turn(*sides, clock=time.thread_time))
    return {
        "peer": name,
        "time steps": steps,
        "ms": 1e3 * own,
        "layers in turn ms": 1e3 * plain,
        "peer ms": 1e3 * other,
        "times faster": other / own,
        "gradients apart": difference,
    }


def _eight_bits(weights: Tensor) -> Tensor:
    """``weights`` as whole numbers from -127 to 127, the largest, times a power of two, which rounding leaves alone."""
    most = float(weights.max())
    unit: float = 2.0 ** round(math.log2(most / 127))
    return (weights * (127 / most)).round().clamp(min=-127) * unit


def _step(
    parameters: Mapping[str, Tensor], forward: Callable[[], Tensor], labels: Tensor, spec: TrainSection
) -> Callable[[], None]:
    """A function that trains ``parameters`` by one step."""
    optimizer = torch.optim.AdamW(parameters.values(), spec.learning_rate)

    def step() -> None:
        optimizer.zero_grad()
        loss_of(forward(), labels, spec).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _repeated(step: Callable[[], None]) -> Callable[[], None]:
    """A function that trains by `IN_A_ROW` steps."""

    def steps() -> None:
        for _ in range(IN_A_ROW):
            step()

    return steps


def _apart(ours: Tensor | None, theirs: Tensor | None) -> float:
    assert ours is not None
    assert theirs is not None
    return float((ours - theirs).abs().max() / ours.abs().max())


def _sinabs(weights: Mapping[str, Tensor], steps: int) -> tuple[Mapping[str, Tensor], Callable[[Tensor], Tensor]]:
    from sinabs.activation import PeriodicExponential
    from sinabs.layers import IAFSqueeze

    def neurons() -> nn.Module:
        surrogate = PeriodicExponential()
        layer: nn.Module = IAFSqueeze(
            batch_size=BATCH, spike_threshold=1.0, min_v_mem=-1.0, surrogate_grad_fn=surrogate
        )
        return layer

    convs, classifier = _layers(weights)
    module = nn.Sequential(
        convs[0], neurons(), _SumPool(), convs[1], neurons(), _SumPool(), nn.Flatten(), classifier, neurons()
    )

    def forward(frames: Tensor) -> Tensor:
        for layer in module:
            if isinstance(layer, IAFSqueeze):
                layer.reset_states()
        spikes: Tensor = module(frames.transpose(0, 1).flatten(0, 1))
        return spikes.view(BATCH, steps, -1).transpose(0, 1)

    return dict(zip(weights, (layer.weight for layer in (*convs, classifier)), strict=True)), forward


def _spikingjelly(
    weights: Mapping[str, Tensor], _steps: int
) -> tuple[Mapping[str, Tensor], Callable[[Tensor], Tensor]]:
    from spikingjelly.activation_based import functional, neuron, surrogate

    def neurons() -> nn.Module:
        node: nn.Module = neuron.IFNode(
            v_threshold=1.0, v_reset=None, surrogate_function=surrogate.PiecewiseQuadratic(alpha=1.0), step_mode="m"
        )
        return node

    convs, classifier = _layers(weights)
    first, second, third, pool = neurons(), neurons(), neurons(), _SumPool()

    def forward(frames: Tensor) -> Tensor:
        for node in (first, second, third):
            functional.reset_net(node)
        steps = frames.shape[:2]
        spikes = pool(first(convs[0](frames.flatten(0, 1)).unflatten(0, steps)).flatten(0, 1))
        spikes = pool(second(convs[1](spikes).unflatten(0, steps)).flatten(0, 1))
        out: Tensor = third(classifier(spikes.flatten(1)).unflatten(0, steps))
        return out

    return dict(zip(weights, (layer.weight for layer in (*convs, classifier)), strict=True)), forward


class _SumPool(nn.Module):
    """Sums over 2 x 2. The sum in sinabs, a power average of power 1, has no gradient where the sum is 0."""

    def forward(self, spikes: Tensor) -> Tensor:
        return F.avg_pool2d(spikes, 2, divisor_override=1)


def _layers(weights: Mapping[str, Tensor]) -> tuple[tuple[nn.Conv2d, nn.Conv2d], nn.Linear]:
    """torch's layers of `NETWORK` with ``weights``."""
    convs = nn.Conv2d(2, 8, 3, padding=1, bias=False), nn.Conv2d(8, 16, 3, padding=1, bias=False)
    classifier = nn.Linear(256, 10, bias=False)
    for layer, weight in zip((*convs, classifier), weights.values(), strict=True):
        layer.weight.data = weight
    return convs, classifier


PEERS: Final[Mapping[str, Peer]] = MappingProxyType(
    {
        "sinabs": Peer("sinabs", _sinabs, {"surrogate": "periodic"}, -1.0),
        "SpikingJelly": Peer("spikingjelly", _spikingjelly, {"surrogate": "triangle", "spikes_per_step": "one"}, None),
    }
)
