"""Networks as people write them in torch and sinabs, each in its usual spelling.

`SPIKING` have sinabs's neurons, `ANALOG` have ReLUs. Every builder takes nothing and returns a module for maps of
``SHAPE`` (C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

sl: Any = pytest.importorskip("sinabs.layers", reason="sinabs is not installed")

SHAPE: Final = (2, 16, 16)


def iaf(**options: Any) -> nn.Module:
    """Neurons with threshold 1 and floor -1."""
    return sl.IAFSqueeze(batch_size=options.pop("batch_size", 1), min_v_mem=-1.0, **options)


def conv(inputs: int = 2, outputs: int = 4, **options: Any) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size of the map."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, **{"bias": False, **options})


def trained(module: nn.Module) -> nn.Module:
    """``module`` in eval mode, with weights that let neurons fire, and batch norms as training leaves them."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.weight.data.mul_(3)
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.normal_(0, 0.5)
            part.running_var.uniform_(0.3, 2)
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.normal_(part.bias)
    return module.eval()


def sequential() -> nn.Module:
    return nn.Sequential(
        *(conv(), iaf(), nn.AvgPool2d(2), conv(4, 8), iaf(), nn.AvgPool2d(2), nn.Dropout2d(0.5)),
        *(nn.Flatten(), nn.Linear(8 * 16, 10, bias=False), iaf()),
    )


def batch_of_eight() -> nn.Module:
    return nn.Sequential(
        conv(), iaf(batch_size=8), sl.SumPool2d(2), nn.Flatten(), nn.Linear(256, 10), iaf(batch_size=8)
    )


def steps_fixed() -> nn.Module:
    neurons = [sl.IAFSqueeze(num_timesteps=20, min_v_mem=-1.0) for _ in range(2)]
    return nn.Sequential(conv(), neurons[0], nn.Flatten(), nn.Linear(1024, 10), neurons[1])


def time_folded() -> nn.Module:
    return nn.Sequential(
        sl.FlattenTime(),
        *(conv(), iaf(batch_size=4), sl.SumPool2d(2), conv(4, 4), iaf(batch_size=4)),
        *(nn.Flatten(), nn.Linear(256, 10, bias=False), iaf(batch_size=4), sl.UnflattenTime(batch_size=4)),
    )


def repeated() -> nn.Module:
    return nn.Sequential(sl.Repeat(conv()), sl.IAF(min_v_mem=-1.0), nn.Flatten(2), nn.Linear(1024, 10), sl.IAF())


def from_analog() -> nn.Module:
    from sinabs.from_torch import from_model

    analog = nn.Sequential(conv(), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(256, 10), nn.ReLU())
    return from_model(analog, input_shape=SHAPE, batch_size=1)


class Branches(nn.Module):
    """A block with a branch that is added by sinabs's Merge, and one that is joined."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.spike_a = conv(), iaf()
        self.b, self.spike_b = conv(4, 4), iaf()
        self.c, self.spike_c = conv(8, 4), iaf()
        self.merge = sl.Merge()

    def forward(self, x: Tensor) -> Tensor:
        x = self.spike_a(self.a(x))
        y = self.spike_b(self.b(x))
        return self.spike_c(self.c(torch.cat([self.merge(x, y), y], dim=1)))


class Classic(nn.Module):
    """The network of most tutorials; ``flat`` is how it flattens."""

    def __init__(self, flat: Callable[[Tensor], Tensor] = lambda x: torch.flatten(x, 1)) -> None:
        super().__init__()
        self.conv1, self.bn1, self.spk1 = conv(2, 8), nn.BatchNorm2d(8), iaf()
        self.conv2, self.bn2, self.spk2 = conv(8, 8), nn.BatchNorm2d(8), iaf()
        self.pool = nn.AvgPool2d(2, 2)
        self.fc, self.bn3, self.spk3 = nn.Linear(128, 10), nn.BatchNorm1d(10), iaf()
        self.flat = flat

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.spk1(self.bn1(self.conv1(x))))
        x = self.pool(self.spk2(self.bn2(self.conv2(x))))
        x = F.dropout(self.flat(x), 0.5, self.training)
        return self.spk3(self.bn3(self.fc(x)))


class Inherited(Classic):
    """A subclass that inherits forward."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = sl.SumPool2d(2)


class Clashing(nn.Module):
    """Layers whose names a graph has for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.input, self.spk1, self.output, self.spk2 = conv(), iaf(), nn.Linear(1024, 10), iaf()

    def forward(self, x: Tensor) -> Tensor:
        return self.spk2(self.output(self.spk1(self.input(x)).flatten(1)))


class Options(nn.Module):
    """Arguments with defaults, asserts and branches on shapes, and a log that takes no values."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.spk = conv(), iaf()
        self.seen: list[torch.Size] = []

    def forward(self, x: Tensor, return_spikes: bool = False, scale: float | None = None) -> Any:
        assert x.shape[1] == 2, "two polarities"
        assert x.size(-1) == x.size(-2)
        self.seen.append(x.shape)
        if x.dim() == 5:
            x = x.flatten(0, 1)
        y = self.spk(self.conv(x if scale is None else x * scale))
        return (y, [y]) if return_spikes else y


class Returning(nn.Module):
    """A forward that returns its output in ``pack``."""

    def __init__(self, pack: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.conv, self.spk, self.fc, self.out = conv(), iaf(), nn.Linear(1024, 10), iaf()
        self.pack = pack

    def forward(self, x: Tensor) -> Any:
        hidden = self.spk(self.conv(x))
        return self.pack(self.out(self.fc(hidden.flatten(1))), hidden)


class Listed(nn.Module):
    """Layers in a ModuleList, which forward goes through, with a shortcut around each."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.spikes = conv(), nn.ModuleList([iaf() for _ in range(3)])
        self.layers = nn.ModuleList([conv(4, 4) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.spikes[0](self.stem(x))
        for layer, spikes in zip(self.layers, list(self.spikes)[1:], strict=True):
            x = spikes(layer(x)) + x
        return x


class Timed(nn.Module):
    """A forward that unpacks samples and time steps itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.spk, self.fc, self.out = conv(), sl.IAF(min_v_mem=-1.0), nn.Linear(1024, 10), sl.IAF()

    def forward(self, x: Tensor) -> Tensor:
        b, t, c, h, w = x.shape
        x = self.conv(x.reshape(b * t, c, h, w))
        x = self.spk(x.unflatten(0, (b, t))).reshape(b, t, -1)
        return self.out(self.fc(x))


class Lightning(nn.Module):
    """A module that trains another one, and has no forward of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.model, self.loss = sequential(), nn.CrossEntropyLoss()


def weight_normed() -> nn.Module:
    net = nn.Sequential(parametrizations.weight_norm(conv()), iaf())
    with torch.no_grad():
        net[0].parametrizations.weight.original0.mul_(3)
    return net


def spectral_normed() -> nn.Module:
    return nn.Sequential(parametrizations.spectral_norm(conv()), iaf()).eval()


def pruned() -> nn.Module:
    net = nn.Sequential(conv(), iaf())
    prune.l1_unstructured(net[0], "weight", 0.5)
    return net


class Masked(nn.Conv2d):
    """A convolution whose forward multiplies its weights by a mask."""

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight * (self.weight > 0), self.bias)


def masked() -> nn.Module:
    return nn.Sequential(Masked(2, 4, 3, padding=1), iaf())


class Standardised(nn.Module):
    """Weights of its own, standardised before each use, and a scale and shift per feature."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.gain = nn.Parameter(torch.randn(4, 2, 3, 3)), nn.Parameter(torch.rand(1, 4, 1, 1) + 0.5)
        self.shift, self.spk = nn.Parameter(torch.randn(4, 1, 1)), iaf()

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self.spk(F.conv2d(F.pad(x, (1, 1, 1, 1)), weight) * self.gain / 2 - self.shift)


def tied() -> nn.Module:
    net = nn.Sequential(conv(2, 2), iaf(), conv(2, 2), iaf())
    net[2].weight = net[0].weight
    return net


def watched() -> nn.Module:
    """Hooks that look and change nothing."""
    net = sequential()
    shapes: list[torch.Size] = []
    for part in net:
        part.register_forward_hook(lambda _module, _given, answer: shapes.append(answer.shape))
        part.register_forward_pre_hook(lambda _module, given: shapes.append(given[0].shape))
    return net


def parallel() -> nn.Module:
    return nn.DataParallel(sequential())


def compiled() -> nn.Module:
    return torch.compile(sequential(), backend="eager")  # type: ignore[return-value]


def brain_floats() -> nn.Module:
    return sequential().bfloat16()


def channels_last() -> nn.Module:
    return Classic(lambda x: x.reshape(len(x), -1)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


SPIKING: Final[dict[str, Callable[[], nn.Module]]] = {
    "sequential": sequential,
    "batch of eight": batch_of_eight,
    "time steps fixed": steps_fixed,
    "FlattenTime": time_folded,
    "Repeat and IAF": repeated,
    "sinabs from_model": from_analog,
    "Merge and cat": Branches,
    "view(size, -1)": lambda: Classic(lambda x: x.view(x.size(0), -1)),
    "view(-1, N)": lambda: Classic(lambda x: x.contiguous().view(-1, 128)),
    "reshape(shape[0], -1)": lambda: Classic(lambda x: x.reshape(x.shape[0], -1)),
    "flatten(1, 3)": lambda: Classic(lambda x: x.flatten(1, 3)),
    "flatten(start_dim=-3)": lambda: Classic(lambda x: torch.flatten(x, start_dim=-3)),
    "inherited forward": Inherited,
    "layers input and output": Clashing,
    "defaults and asserts": Options,
    "a tuple": lambda: Returning(lambda y, hidden: (y, [hidden])),
    "a dict": lambda: Returning(lambda y, hidden: {"logits": y, "hidden": hidden}),
    "ModuleList with shortcuts": Listed,
    "unpacked time": Timed,
    "a trainer's module": Lightning,
    "weight norm": weight_normed,
    "spectral norm": spectral_normed,
    "pruned": pruned,
    "masked subclass": masked,
    "standardised weights": Standardised,
    "tied weights": tied,
    "hooks that look": watched,
    "DataParallel": parallel,
    "torch.compile": compiled,
    "bfloat16": brain_floats,
    "channels_last": channels_last,
}


class LeNet(nn.Module):
    """Functional pooling and ReLUs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 6, 5, padding=2), nn.Conv2d(6, 8, 5)
        self.fc1, self.fc2 = nn.Linear(8 * 4, 20), nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(F.relu(self.conv1(x / 255)), 2)
        x = F.avg_pool2d(F.relu(self.conv2(x), inplace=True), kernel_size=2)
        x = F.relu(self.fc1(x.view(-1, x.shape[1:].numel())))
        return F.log_softmax(self.fc2(x), dim=1)


class Residual(nn.Module):
    """A block of a ResNet."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1, self.bn2, self.relu = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """A small ResNet, with its global average pool and flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.layers = nn.Sequential(Residual(8, 8, 1), Residual(8, 16, 2))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.layers(self.stem(x)))
        return self.fc(torch.flatten(x, 1))


class MobileNet(nn.Module):
    """Depthwise and pointwise convolutions, and a mean over the map."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(2, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 12, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU()),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(12, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean([2, 3]))


class Dense(nn.Module):
    """Layers that take all that was computed before."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Sequential(conv(2 + 4 * i, 4), nn.ReLU()) for i in range(3)])
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(14, 10)

    def forward(self, x: Tensor) -> Tensor:
        found = [x]
        for layer in self.layers:
            found.append(layer(torch.cat(found, 1)))
        return self.fc(self.pool(torch.cat(found, 1)).squeeze(-1).squeeze(-1))


def vgg() -> nn.Module:
    return nn.Sequential(
        *(nn.ZeroPad2d(1), nn.Conv2d(2, 8, 3), nn.ReLU(), conv(8, 8, bias=True), nn.ReLU(), nn.AvgPool2d(2, 2)),
        *(nn.AdaptiveAvgPool2d((4, 4)), nn.Flatten(), nn.Linear(128, 20), nn.ReLU(), nn.Dropout(), nn.Linear(20, 10)),
    )


def traced() -> nn.Module:
    return torch.fx.symbolic_trace(ResNet().eval())


ANALOG: Final[dict[str, Callable[[], nn.Module]]] = {
    "LeNet": LeNet,
    "ResNet": ResNet,
    "MobileNet": MobileNet,
    "DenseNet": Dense,
    "VGG": vgg,
    "GraphModule": traced,
}


def build(name: str, seed: int = 0) -> nn.Module:
    """The network ``name``, with random weights and trained batch norms."""
    torch.manual_seed(seed)
    return trained({**SPIKING, **ANALOG}[name]())
