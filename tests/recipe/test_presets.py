"""Presets are the papers' networks: their weights counted against torch modules written out, layers, stages, errors."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny import spec
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from typer.testing import CliRunner

from deploytool.base.errors import RecipeError
from deploytool.cli.app import app
from deploytool.convert.model import blank_weights, to_graph
from deploytool.ir.nodes import Conv, Linear
from deploytool.recipe import ConstraintsSection, NetworkSection, SpikeLayer, load_recipe, parse_recipe
from deploytool.recipe.nodes import blank_nodes, weight_count
from deploytool.recipe.presets.table import PRESETS
from deploytool.train.methods.table import build
from deploytool.train.network.spiking import SpikingNetwork, learnt

ROOT = Path(__file__).parents[2]
BASE: dict[str, Any] = {
    "name": "x",
    "data": {"set": "digits"},
    "run": {"on": []},
    "train": {"time_steps": 2, "epochs": 1, "batch": 1, "learning_rate": 1e-3},
}


def network(name: str, **keys: Any) -> NetworkSection:
    """The network of a preset, on the input of its source and with its options, where ``keys`` say nothing else."""
    preset = PRESETS[name]
    return NetworkSection.model_validate({**preset.options, "preset": name, "input": preset.input, **keys})


def refusal(**keys: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        parse_recipe({**BASE, "network": keys}, "r")
    return caught.value.problems[0]


def conv_block(i: int, o: int, stride: int = 1, kernel: int = 3) -> list[nn.Module]:
    return [nn.Conv2d(i, o, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(o), nn.ReLU()]


def plain(features: list[int], head: list[int]) -> nn.Sequential:
    """Convolutions of 3x3 between ``features``, then fully connected layers of ``head`` values, without biases."""
    convs = [module for i, o in itertools.pairwise(features) for module in conv_block(i, o)]
    return nn.Sequential(*convs, *(nn.Linear(i, o, bias=False) for i, o in itertools.pairwise(head)))


class BasicBlock(nn.Module):
    def __init__(self, i: int, o: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(*conv_block(i, o, stride), *conv_block(o, o)[:2])
        projected = stride > 1 or i != o
        self.shortcut = nn.Sequential(*conv_block(i, o, stride, 1)[:2]) if projected else nn.Sequential()


def residual(features: int, kinds: list[tuple[int, int]], stem: int, stem_kernel: int, head: list[int]) -> nn.Module:
    """A residual network of basic blocks, ``kinds`` of (features, blocks), whose last layer alone has biases."""
    modules = conv_block(features, stem, kernel=stem_kernel)
    before = stem
    for kind, (out, count) in enumerate(kinds):
        for position in range(count):
            modules.append(BasicBlock(before, out, 2 if kind and not position else 1))
            before = out
    dense: list[nn.Module] = [nn.Linear(i, o, bias=False) for i, o in itertools.pairwise(head[:-1])]
    return nn.Sequential(*modules, *dense, nn.Linear(head[-2], head[-1]))


def parts(module: nn.Module) -> tuple[int, int, int]:
    """How many (weights, numbers of batch norms, biases) ``module`` learns."""
    norms = [p for m in module.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()]
    weights = sum(p.numel() for p in module.parameters() if p.dim() > 1)
    everything = sum(p.numel() for p in module.parameters())
    normed = sum(p.numel() for p in norms)
    return weights, normed, everything - weights - normed


def trevsnn(features: list[int], inputs: int = 3, classes: int = 1000) -> nn.Module:
    """A stem, and four stages of two blocks: depthwise, 1x1 to four times the features, back, depthwise."""
    modules: list[nn.Module] = [
        nn.Conv2d(inputs, features[0], 7, 2, 3, bias=False),
        nn.Conv2d(features[0], features[0], 3, 2, 1, bias=False),
    ]
    for number, o in enumerate(features):
        if number:
            kernel = 3 if number < 3 else 1
            modules.append(nn.Conv2d(features[number - 1], o, kernel, bias=False))
        for _ in range(2):
            depthwise = [nn.Conv2d(o, o, 5, padding=2, groups=o, bias=False) for _ in "ab"]
            modules += [*depthwise, nn.Conv2d(o, 4 * o, 1, bias=False), nn.Conv2d(4 * o, o, 1, bias=False)]
    return nn.Sequential(*modules, nn.Linear(features[-1], classes, bias=False))


EIGHT = [64, 128, 256, 256, 512, 512, 512, 512]
WRITTEN_OUT = {
    "digits": lambda: plain([2, 8, 16], [16 * 16, 10]),
    "nmnist": lambda: plain([2, 8, 16, 16], [16 * 16, 10]),
    "dvsgesture": lambda: plain([2, 8, 16, 32, 32], [512, 64, 11]),
    "vgg9": lambda: plain([2, *EIGHT], [2048, 10]),
    "vggsnn": lambda: plain([2, *EIGHT], [512 * 9, 10]),
    "vggsnn-stride": lambda: plain([2, *EIGHT], [512 * 9, 10]),
    "vgg11": lambda: plain([3, *EIGHT], [2048, 4096, 4096, 10]),
    "vgg13": lambda: plain([3, *(f for f in (64, 128, 256, 512, 512) for _ in "ab")], [512, 4096, 4096, 10]),
    "vgg14": lambda: plain([3, 64, 64, 128, 128, *[256] * 3, *[512] * 6], [512, 100]),
    "vgg16": lambda: plain([3, 64, 64, 128, 128, *[256] * 3, *[512] * 6], [512, 4096, 4096, 10]),
    "alexnet": lambda: plain([3, 96, 256, 384, 384, 256], [4096, 2048, 10]),
    "mnist-cnn": lambda: plain([1, 16, 32, 32, 64], [3136, 800, 10]),
    "autoencoder": lambda: plain([], [784, 128, 64, 32, 64, 128, 784]),
    "separation": lambda: nn.Sequential(
        nn.Conv1d(512, 512, 1, bias=False),
        *(nn.Conv1d(512, 512, 3, dilation=2**n, bias=False) for n in range(10)),
        nn.Conv1d(512, 1024, 1, bias=False),
    ),
    "trevsnn-small": lambda: trevsnn([96, 192, 384, 512]),
    "trevsnn-tiny": lambda: trevsnn([64, 128, 256, 384]),
    "trevsnn-dvs": lambda: trevsnn([32, 64, 128, 256], inputs=2, classes=10),
    "resnet18": lambda: residual(3, [(64, 2), (128, 2), (256, 2), (512, 2)], 64, 3, [512, 10]),
    "resnet19": lambda: residual(3, [(128, 3), (256, 3), (512, 2)], 128, 3, [512, 256, 10]),
    "resnet34": lambda: residual(3, [(64, 3), (128, 4), (256, 6), (512, 3)], 64, 7, [512, 1000]),
}


@pytest.mark.parametrize("name", PRESETS)
def test_weights_are_those_of_the_network_written_out(name: str) -> None:
    with torch.device("meta"):
        weights, _, _ = parts(WRITTEN_OUT[name]())
    assert weight_count(network(name)) == weights
    assert PRESETS[name].parameters in (None, weights)


def test_the_numbers_of_the_papers() -> None:
    assert {name: preset.parameters for name, preset in PRESETS.items() if preset.parameters} == {
        "nmnist": 6_160,
        "dvsgesture": 48_592,
        "vgg9": 9_237_632,
    }


@pytest.mark.parametrize(("name", "torchs"), [("resnet18", 11_173_962), ("resnet34", 21_797_672)])
def test_the_numbers_that_torch_has(name: str, torchs: int) -> None:
    """Torch counts biases and batch norms as well."""
    with torch.device("meta"):
        weights, norms, biases = parts(WRITTEN_OUT[name]())
    assert weights + norms + biases == torchs
    blocks = network(name)
    shapes = blank_nodes(blocks)[1]
    normed = sum(2 * shapes[layer][0] for layer, kind in blocks.named_layers() if kind.type == "batchnorm")
    assert (weight_count(blocks), normed) == (weights, norms)


def test_vgg16_with_the_short_head_has_the_usual_number() -> None:
    """14,728,266 with 10 biases of its head, and a bias and two numbers of a batch norm for each of 4,224 features."""
    assert weight_count(network("vgg16", hidden=[])) == 14_728_266 - 10 - 3 * 4224


def test_vgg9_has_the_neurons_of_the_paper() -> None:
    blocks = network("vgg9")
    shapes = blank_nodes(blocks)[1]
    fire = [math.prod(shapes[name]) for name, layer in blocks.named_layers() if isinstance(layer, SpikeLayer)]
    assert sum(fire) == 409_600


@pytest.mark.parametrize("name", ["digits", "nmnist"])
def test_the_recipes_are_their_presets(name: str) -> None:
    written = load_recipe(ROOT / "recipes" / f"{name}.toml")
    options = {"pool": "sum", "classes": 10}
    section = {"preset": name, "input": list(written.network.input), **options}
    named = parse_recipe({**written.model_dump(by_alias=True), "network": section}, "r")
    assert named == written
    assert named.section("network") == written.section("network")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_leaves_no_trace(name: str) -> None:
    expanded = network(name)
    again = NetworkSection.model_validate(json.loads(expanded.model_dump_json(by_alias=True)))
    assert again == expanded
    assert set(again.model_dump()) == {"input", "layers"}


LEAST = {"nmnist": 8, "dvsgesture": 32, "vgg9": 64, "vggsnn": 16, "vgg14": 32, "resnet34": 32}
"""Sides of the smallest inputs that leave something to every layer, where that is more than 8."""
SMALL = ("digits", "nmnist", "dvsgesture", "mnist-cnn", "autoencoder")


def ready(name: str) -> tuple[SpikingNetwork, dict[str, torch.Tensor], torch.Tensor]:
    """The preset on a small input, with short heads; its initial weights; and frames (T = 2, B = 2) of events."""
    keys = {key: value for key, value in (("classes", 3), ("hidden", [])) if key in PRESETS[name].options}
    features, side = PRESETS[name].input[0], LEAST.get(name, 8)
    shape = (8, 1, 40) if name == "separation" else (features, side, side)
    needs = PRESETS[name].needs
    train = {**needs.get("train", {}), "time_steps": 2}
    net = build(network(name, input=shape, **keys), ConstraintsSection(**needs.get("constraints", {})), spec(**train))
    generator = torch.Generator().manual_seed(0)
    return net, net.initial_weights(generator), torch.poisson(torch.full((2, 2, *shape), 0.7), generator=generator)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_runs(name: str) -> None:
    net, weights, frames = ready(name)
    with torch.no_grad():
        measured = net.run(weights, frames, measure=True).statistics
        assert {name for name in weights if not learnt(name)} == measured.keys()
        activity = net.run({**weights, **measured}, frames)
    assert activity.output.shape == (2, 2, math.prod(net.blocks[-1].out_shape))
    assert activity.output.isfinite().all()
    assert name.startswith("trevsnn") or activity.spikes[net.weighted[0].name].any()


@pytest.mark.parametrize("name", SMALL)
def test_a_small_preset_takes_a_step_of_training(name: str) -> None:
    net, weights, frames = ready(name)
    learning = {key: w.requires_grad_() for key, w in weights.items() if learnt(key)}
    output = net.run(weights, frames, measure=True).output.mean(0)
    if name == "autoencoder":
        loss = F.mse_loss(output, frames.mean(0).flatten(1))
    else:
        loss = F.cross_entropy(output, torch.zeros(2, dtype=torch.long))
    gradients = dict(zip(learning, torch.autograd.grad(loss, list(learning.values())), strict=True))
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert gradients[net.weighted[0].name].any()
    stepped = {key: w.detach() - 1e-3 * gradients[key] if key in gradients else w for key, w in weights.items()}
    assert net.run(stepped, frames, measure=True).output.isfinite().all()


@pytest.mark.parametrize(
    ("name", "marks"),
    [
        ("vgg9", ["conv1", "conv3", "conv5", "conv7"]),
        ("dvsgesture", ["conv1", "conv3", "fc1"]),
        ("vgg16", [f"conv{n}" for n in range(1, 14)]),
        ("vgg14", [f"conv{n}" for n in range(1, 14)]),
        ("vggsnn", [f"conv{n}" for n in range(1, 9)]),
        ("resnet18", ["stem", *(f"block{n}_conv1" for n in range(2, 9))]),
        ("resnet19", ["stem", *(f"block{n}_conv1" for n in range(2, 9))]),
        ("nmnist", []),
        ("alexnet", []),
    ],
)
def test_stages_of_mtt(name: str, marks: list[str]) -> None:
    assert network(name).stage_marks() == tuple(marks)


@given(st.sampled_from(sorted(PRESETS)), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_an_input_is_taken_or_refused_in_a_sentence(name: str, high: int, wide: int, norm: bool) -> None:
    shape = [PRESETS[name].input[0], high, wide]
    keys = {**PRESETS[name].options, "preset": name, "input": shape, "norm": norm}
    if "hidden" in keys:
        keys["hidden"] = []
    try:
        needs = {section: {**BASE.get(section, {}), **needed} for section, needed in PRESETS[name].needs.items()}
        accepted = parse_recipe({**BASE, **needs, "data": BASE["data"], "network": keys}, "r").network
    except RecipeError as error:
        problem = error.problems[0]
        assert problem.startswith((f"r: network.input: preset {name!r}", f"r: network: preset {name!r}"))
        assert f"{shape[0]}x{high}x{wide}; need " in problem
    else:
        blank_nodes(accepted)


def test_too_small_an_input_is_told_the_least_one() -> None:
    found = refusal(preset="vgg9", input=[2, 48, 48], classes=10)
    assert found == "r: network.input: preset 'vgg9' with an input of 2x48x48; need at least 2x64x64."
    assert weight_count(network("vgg9", input=(2, 64, 64), classes=10)) > 0


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"preset": "vgg10"}, "r: network.preset: found 'vgg10'; need one of digits, nmnist"),
        ({"preset": ["vgg9"]}, "need one of digits, nmnist"),
        ({"preset": "vgg9"}, "network.classes: missing with preset 'vgg9'; need their number, 10 in its source."),
        ({"preset": "vgg9", "classes": 10}, "r: network.input: missing"),
        (
            {"preset": "vgg9", "classes": 0, "input": [2, 64, 64]},
            "r: network.classes: found 0; need a whole number, at least 1.",
        ),
        ({"preset": "vgg9", "classes": 9, "input": [2, 64, 64], "pool": "max"}, "network.pool: found 'max'; need"),
        (
            {"preset": "vgg9", "norms": True},
            "network.norms: no option of preset 'vgg9'; need one of preset, input, classes, norm",
        ),
        ({"preset": "alexnet", "pool": "sum"}, "network.pool: no option of preset 'alexnet'; need one of"),
        ({"preset": "nmnist", "layers": []}, "r: network.preset: found both preset and layers; need only one."),
        ({"preset": "resnet18", "classes": 9, "input": [2, 48, 32]}, "need as many rows as columns"),
        ({"preset": "separation", "input": [512, 2, 30]}, "need [features, 1, time frames]"),
    ],
)
def test_wrong_keys_are_refused(keys: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(**keys)


def test_options_change_what_they_say() -> None:
    kinds = [layer.type for layer in network("nmnist", norm=True, pool="stride", spiking_output=False).layers]
    assert (kinds.count("batchnorm"), kinds.count("avgpool"), kinds[-1]) == (3, 0, "linear")
    strides = [layer.stride for layer in network("vggsnn", pool="stride").layers if layer.type == "conv"]
    assert strides == [(1, 1), (2, 2)] * 4
    assert network("vggsnn", pool="stride") == network("vggsnn-stride")
    stem = network("resnet34", stem="cifar").layers[0]
    assert stem.type == "conv"
    assert (stem.kernel, stem.stride) == ((3, 3), (1, 1))


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
)
def test_pairs_are_vertical_and_horizontal(
    kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int]
) -> None:
    conv = {
        "type": "conv",
        "out": 2,
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
    }
    section = NetworkSection.model_validate({"input": (3, 7, 9), "layers": [conv]})
    node = blank_nodes(section)[0]["conv1"]
    assert isinstance(node, Conv)
    assert node.weight.shape == (2, 3, *kernel)
    net = SpikingNetwork(section, ConstraintsSection(weight_bits=32), spec(time_steps=1))
    frames, weights = torch.rand(1, 1, 3, 7, 9), torch.rand(2, 3, *kernel)
    wanted = F.conv2d(frames[0], weights, None, stride, padding, dilation)
    assert torch.allclose(net.run({"conv1": weights}, frames).output[0], wanted.flatten(1), atol=1e-6)


def test_one_number_is_both() -> None:
    one, two = (
        NetworkSection.model_validate({"input": (1, 5, 5), "layers": [{"type": "conv", "out": 1, "kernel": kernel}]})
        for kernel in (3, [3, 3])
    )
    assert one == two


@pytest.mark.parametrize("kernel", [0, True, 1.5, [3], [3, 0], [1, 2, 3], "3"])
def test_other_kernels_are_refused(kernel: Any) -> None:
    layers = [{"type": "conv", "out": 1, "kernel": kernel}, {"type": "spike"}]
    found = refusal(input=[1, 9, 9], layers=layers)
    assert found.startswith("r: network.layers.0.kernel: found ")
    assert found.endswith("need a whole number from 1, or two, [vertical, horizontal].")


def test_presets_are_shown(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["show", "presets", "--json", "--store", str(tmp_path)])
    assert result.exit_code == 0
    rows = {row["preset"]: row for row in json.loads(result.stdout)["presets"]}
    assert list(rows) == list(PRESETS)
    assert (rows["nmnist"]["weights"], rows["nmnist"]["in_source"]) == (6_160, 6_160)
    assert rows["resnet18"]["in_source"] is None


@pytest.mark.parametrize("name", ["nmnist", "dvsgesture", "separation", "resnet18"])
def test_presets_convert(name: str) -> None:
    """Batch norms fold, shortcuts become additions: as many weights in the graph as in the preset."""
    section = network(name, input=(8, 1, 40)) if name == "separation" else network(name)
    graph = to_graph(blank_weights(section), section, ConstraintsSection())
    nodes = [graph.nodes[layer] for layer in graph.of_type(Conv, Linear)]
    assert sum(node.weight.size for node in nodes) == weight_count(section)
