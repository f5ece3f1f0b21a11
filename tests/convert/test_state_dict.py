"""State dicts in the files that people save, and which of their entries goes to which layer of a recipe."""

from __future__ import annotations

import json
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.command import invoke
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from deploytool.base.errors import InputError, RecipeError
from deploytool.chip.chips import CHIPS
from deploytool.chip.integers import quantise
from deploytool.convert.model import to_graph
from deploytool.convert.state_dict import LoadedNetwork, from_state_dict
from deploytool.convert.torch.arrays import to_array
from deploytool.convert.torch.modules import from_module
from deploytool.convert.torch.state_dict import read_state_dict
from deploytool.ir.nodes import Spike
from deploytool.recipe import ConstraintsSection, NetworkSection, load_network

layers = pytest.importorskip("sinabs.layers", reason="sinabs is not installed")

NETWORK = NetworkSection.model_validate(
    {
        "input": (2, 6, 6),
        "layers": [
            {"type": "conv", "out": 3, "kernel": 3},
            {"type": "spike"},
            {"type": "flatten"},
            {"type": "linear", "out": 4},
            {"type": "spike"},
        ],
    }
)


def sequential(**changes: Any) -> nn.Sequential:
    floor = changes.get("min_v_mem", -1.0)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, bias=changes.get("bias", False)),
        layers.IAFSqueeze(batch_size=1, min_v_mem=floor),
        nn.Flatten(),
        nn.Linear(48, 4, bias=False),
        layers.IAFSqueeze(batch_size=1, min_v_mem=floor),
    )


def test_a_state_dict_gives_the_graph_of_the_module_itself(tmp_path: Path) -> None:
    module = sequential()
    module(torch.rand(3, 2, 6, 6))
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    graph = from_state_dict(read_state_dict(tmp_path / "weights.pt"), NETWORK, ConstraintsSection(), dt_ms=2.0).graph
    own = from_module(module, (2, 6, 6))
    assert graph.dt_ms == 2.0
    for name, theirs in zip(("conv1", "spike1", "flatten1", "fc1", "spike2"), ("0", "1", "2", "3", "4"), strict=True):
        assert vars(graph.nodes[name]).keys() == vars(own.nodes[theirs]).keys()
        for field, value in vars(graph.nodes[name]).items():
            np.testing.assert_array_equal(value, vars(own.nodes[theirs])[field])


def test_weights_of_a_state_dict_are_quantised_no_sooner_than_on_the_chip() -> None:
    state = {name: tensor.numpy() for name, tensor in sequential().state_dict().items()}
    weights = {"conv1": state["0.weight"], "fc1": state["3.weight"]}
    graph = from_state_dict(state, NETWORK, ConstraintsSection()).graph
    trained = to_graph(weights, NETWORK, ConstraintsSection())
    np.testing.assert_array_equal(graph.nodes["conv1"].weight, state["0.weight"])
    integers = CHIPS["speck2e"].integers
    both = []
    for net in (graph, trained):
        spike = net.nodes["spike1"]
        assert isinstance(spike, Spike)
        both.append(quantise(net.nodes["conv1"].weight, None, spike.threshold, spike.floor, integers))
    np.testing.assert_array_equal(both[0].weights, both[1].weights)


def test_a_state_dict_that_does_not_match_is_told_entry_by_entry() -> None:
    arrays = {name: tensor.numpy() for name, tensor in sequential(bias=True, min_v_mem=-2.0).state_dict().items()}
    arrays["0.bias"] = np.full(3, 0x7F800001, np.uint32).view(np.float32)  # signalling NaNs
    arrays["norm.running_mean"] = np.zeros(3)
    arrays["3.weight"] = np.ones((4, 47))
    with pytest.raises(InputError) as error:
        from_state_dict(arrays, NETWORK, ConstraintsSection(threshold=0.5))
    named = [problem.split("'")[1] for problem in error.value.problems]
    assert set(named) == {
        "0.bias",
        "1.min_v_mem",
        "1.spike_threshold",
        "4.min_v_mem",
        "4.spike_threshold",
        "norm.running_mean",
        "3.weight",
    }
    assert "shape (4, 47); need (4, 48), of layer 'fc1'" in str(error.value)
    with pytest.raises(InputError, match=r"1 weight arrays \(w.weight\); need 2, for conv1, fc1"):
        from_state_dict({"w.weight": np.ones((3, 2, 3, 3))}, NETWORK, ConstraintsSection())
    free = {name: tensor.numpy() for name, tensor in sequential(min_v_mem=None).state_dict().items()}
    with pytest.raises(InputError, match="neurons without min_v_mem"):
        from_state_dict(free, NETWORK, ConstraintsSection())
    assert from_state_dict(free, NETWORK, ConstraintsSection(floor=float("-inf")))


class Pickled:
    """What only pickle can store."""


def net(*names: str, shapes: tuple[tuple[int, ...], ...]) -> dict[str, np.ndarray]:
    """A state dict in which the weights of the first entry are all 1, of the second 2, and so on."""
    return {
        name: np.full(shape, 1.0 + i, np.float32) for i, (name, shape) in enumerate(zip(names, shapes, strict=True))
    }


def three(*layer_names: str) -> NetworkSection:
    """Three convolutions, of which the second and the third have weights of one shape."""
    named = [{"name": name} for name in layer_names] or [{}] * 3
    convs = [{"type": "conv", "out": 4, "kernel": 3, "padding": 1, **name} for name in named]
    spiking = [layer for conv in convs for layer in (conv, {"type": "spike"})]
    return NetworkSection.model_validate({"input": (2, 6, 6), "layers": spiking})


FIRST, OTHER = (4, 2, 3, 3), (4, 4, 3, 3)


def load(state: Mapping[str, np.ndarray], network: NetworkSection | None = None) -> LoadedNetwork:
    found = from_state_dict(state, network or three(), ConstraintsSection())
    for layer, entry in found.entries.items():
        np.testing.assert_array_equal(found.graph.nodes[layer].weight, state[entry])
    return found


def test_names_decide_where_shapes_do_not() -> None:
    """conv3 stands before conv2 in the file, as it does in __init__."""
    found = load(net("conv1.weight", "conv3.weight", "conv2.weight", shapes=(FIRST, OTHER, OTHER)))
    assert found.entries == {"conv1": "conv1.weight", "conv2": "conv2.weight", "conv3": "conv3.weight"}
    assert len(found.warnings) == 1
    assert "their names say another: conv2, conv3 get conv2.weight, conv3.weight" in found.warnings[0]
    found = load(
        net("features.tail.weight", "b.stem.weight", "a.head.weight", shapes=(OTHER, FIRST, OTHER)),
        three("stem", "head", "tail"),
    )
    assert found.entries == {"stem": "b.stem.weight", "head": "a.head.weight", "tail": "features.tail.weight"}


def test_numbers_are_numbers() -> None:
    """A .safetensors file has its names in the order of the alphabet: layers.10 before layers.2."""
    found = load(net("layers.10.weight", "layers.2.weight", "stem.weight", shapes=(OTHER, OTHER, FIRST)))
    assert list(found.entries.values()) == ["stem.weight", "layers.2.weight", "layers.10.weight"]
    assert len(found.warnings) == 1
    found = load(net("0.weight", "3.weight", "6.weight", shapes=(FIRST, OTHER, OTHER)))
    assert list(found.entries.values()) == ["0.weight", "3.weight", "6.weight"]
    assert not found.warnings
    found = load(net("conv0.weight", "conv1.weight", "conv2.weight", shapes=(FIRST, OTHER, OTHER)))
    assert list(found.entries.values()) == ["conv0.weight", "conv1.weight", "conv2.weight"]
    assert not found.warnings, "counted from 0, conv1 is the second layer, not the layer conv1"


def test_an_order_that_is_a_guess_is_said_to_be_one() -> None:
    found = load(net("stem.weight", "body.weight", "head.weight", shapes=(FIRST, OTHER, OTHER)))
    assert list(found.entries.values()) == ["stem.weight", "body.weight", "head.weight"]
    assert len(found.warnings) == 1
    assert "body.weight, head.weight have the same shape; their order for conv2, conv3 is a guess" in found.warnings[0]


@given(st.permutations(range(3)))
def test_weights_of_different_shapes_need_no_order(order: list[int]) -> None:
    shapes = ((3, 2, 3, 3), (4, 48))
    names = ["a.weight", "b.weight"]
    state = net(*names, shapes=shapes)
    listed = {names[i]: state[names[i]] for i in order if i < 2}
    found = from_state_dict(listed, NETWORK, ConstraintsSection())
    assert found.entries == {"conv1": "a.weight", "fc1": "b.weight"}
    assert not found.warnings


@pytest.mark.parametrize(
    ("entry", "todo"),
    [
        ("0.weight_orig", r"prune\.remove\(layer"),
        ("0.weight_g", r"remove_weight_norm\(layer\)"),
        ("0.parametrizations.weight.original0", "remove_parametrizations"),
        ("1.running_mean", "Convert the module itself"),
    ],
)
def test_weights_that_are_computed_before_each_use_are_refused_with_the_call(entry: str, todo: str) -> None:
    state = net("a.weight", "b.weight", entry, shapes=((3, 2, 3, 3), (4, 48), (3, 2, 3, 3)))
    with pytest.raises(InputError, match=rf"'{entry}': an entry that recipe layers do not have.*{todo}"):
        from_state_dict(state, NETWORK, ConstraintsSection())


def test_files_that_hold_something_else_say_what(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    with pytest.raises(InputError, match="no such file"):
        read_state_dict(path)
    cases: list[tuple[Any, str]] = [
        (
            Pickled(),
            r"a whole pickled module \([\w.]*Pickled\), .*weights_only=False.*convert package\.module:function",
        ),
        (sequential(), r"a whole pickled module \(torch\.nn\.modules\.container\.Sequential\)"),
        ({"epoch": 3, "state_dict": {}}, r"holds more than named tensors \(epoch, state_dict\)"),
        ({"state": Pickled()}, r"holds a Python object \([\w.]*Pickled\).*torch\.save\(module\.state_dict"),
        ([torch.ones(1)], "holds a list"),
        ({}, "holds nothing"),
        ({"w": torch.full((2,), float("nan"))}, "'w': the tensor has 2 values that are not finite"),
        ({"w": torch.ones(2, device="meta")}, "'w': the tensor is a meta tensor, which has no values"),
        ({"w": torch.ones(2, dtype=torch.complex64)}, "'w': the tensor holds complex numbers"),
        ({"w": torch.tensor([2**24 + 1])}, "'w': the tensor holds integers above 2.24"),
        ({"ema": {"w": torch.ones(1)}, "best": {"w": torch.ones(1)}}, "several state dicts: ema, best; need one"),
    ]
    for content, says in cases:
        torch.save(content, path)
        with pytest.raises(InputError, match=says) as error:
            read_state_dict(path, tell=lambda _: None)
        assert len(str(error.value).splitlines()) == 1
    torch.save(sequential(), path, pickle_protocol=4)
    with pytest.raises(InputError, match=r"a whole pickled module .torch\.nn\.modules\.container\.Sequential"):
        read_state_dict(path)
    torch.save({"w": torch.ones(1)}, path, pickle_protocol=4)
    with pytest.raises(InputError, match=r"pickle protocol 4.*Save it with the default protocol of torch\.save"):
        read_state_dict(path)
    path.write_text("a poem")
    with pytest.raises(InputError, match="cannot be read"):
        read_state_dict(path)
    damaged = tmp_path / "weights.safetensors"
    damaged.write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(InputError, match="not a safetensors file"):
        read_state_dict(damaged)


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
def test_compiled_and_exported_modules_say_how_they_are_converted(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(2, 3, 3))
    torch.jit.script(module).save(tmp_path / "script.pt")
    with pytest.raises(InputError, match=r"a TorchScript module.*torch\.jit\.load\(path\)\.state_dict\(\)"):
        read_state_dict(tmp_path / "script.pt")
    torch.export.save(torch.export.export(module, (torch.rand(1, 2, 6, 6),)), tmp_path / "program.pt2")
    with pytest.raises(InputError, match=r"a program of torch\.export.*torch\.export\.load\(path\)\.module\(\)"):
        read_state_dict(tmp_path / "program.pt2")


def test_checkpoints_of_trainers_are_read_with_a_note(tmp_path: Path) -> None:
    weights = {"0.weight": torch.rand(3, 2, 3, 3), "3.weight": torch.rand(4, 48)}
    prefixed = OrderedDict((f"model.module.{name}", tensor) for name, tensor in weights.items())
    optimiser = {"state": {0: {"step": torch.ones(1)}}, "param_groups": [{"lr": 1e-3}]}
    contents: list[tuple[Any, list[str]]] = [
        (weights, []),
        (prefixed, ["the prefix 'model.module.' is removed from every name"]),
        (
            {"epoch": 3, "state_dict": prefixed, "optimizer_states": [optimiser]},
            ["only state_dict of epoch", "the prefix"],
        ),
        ({"model": weights, "optimizer": optimiser}, ["only model of model, optimizer is read"]),
        (
            {
                f"{part}.{name}": tensor
                for part in ("analog_model", "spiking_model")
                for name, tensor in weights.items()
            },
            ["only spiking_model of analog_model and spiking_model is read", "the prefix 'spiking_model.'"],
        ),
    ]
    for content, told in contents:
        notes: list[str] = []
        torch.save(content, tmp_path / "last.ckpt")
        found = read_state_dict(tmp_path / "last.ckpt", tell=notes.append)
        assert list(found) == list(weights)
        for name, tensor in weights.items():
            np.testing.assert_array_equal(found[name], tensor.numpy())
        assert len(notes) == len(told)
        assert all(says in note for says, note in zip(told, notes, strict=True))


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int8, torch.bool])
def test_numbers_of_every_type_are_read_exactly(kind: torch.dtype, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights.{suffix}"
    tensor = (torch.randn(3, 5) * 50).to(kind)
    (save_file if suffix == "safetensors" else torch.save)({"w": tensor}, path)
    array = read_state_dict(path)["w"]
    assert array.dtype == (np.float64 if kind == torch.float64 else np.float32)
    np.testing.assert_array_equal(array, tensor.double().numpy())


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_quantised_and_sparse_tensors_give_the_numbers_they_stand_for(tmp_path: Path) -> None:
    quantised = torch.quantize_per_tensor(torch.tensor([0.0, 0.26, -0.5]), 0.25, 0, torch.qint8)
    sparse = torch.tensor([[0.0, 2.0], [0.0, 0.0]]).to_sparse()
    torch.save({"q": quantised, "s": sparse}, tmp_path / "w.pth")
    found = read_state_dict(tmp_path / "w.pth")
    np.testing.assert_array_equal(found["q"], np.float32([0, 0.25, -0.5]))
    np.testing.assert_array_equal(found["s"], [[0, 2], [0, 0]])


@pytest.mark.parametrize("layout", ["csr", "csc"])
def test_indices_of_a_sparse_tensor_that_do_not_fit_are_refused(layout: str) -> None:
    """torch trusts them when it makes the tensor dense, and read beyond its memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        make = torch.sparse_csr_tensor if layout == "csr" else torch.sparse_csc_tensor
        few = [torch.tensor([0, 900_000, 1_800_000]), torch.zeros(1_800_000, dtype=torch.long), torch.ones(3)]
        tensor = make(*few, size=(2, 2), check_invariants=False)
    with pytest.raises(InputError, match=r"weight cannot be converted from torch\.float32"):
        to_array(tensor, "weight", "layer")


def test_a_recipe_for_weights_needs_a_network_only(tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    network = '[network]\ninput = [2, 6, 6]\nlayers = [{ type = "conv", out = 3, kernel = 3 }]\n'
    path.write_text('name = "mine"\n' + network)
    assert load_network(path)[0].input == (2, 6, 6)
    path.write_text(network + "[constraints]\nthreshold = 2\n[train]\nmethod = 'none'\n")
    assert load_network(path)[1].threshold == 2
    path.write_text(network + "[constrants]\nthreshold = 2\n")
    with pytest.raises(RecipeError, match=r"constrants: unknown key; need a key of a recipe\. Known keys: name"):
        load_network(path)
    path.write_text("[constraints]\nthreshold = -2\n")
    with pytest.raises(RecipeError) as error:
        load_network(path)
    assert len(error.value.problems) == 2


def test_the_command_line_says_which_entry_went_where(tmp_path: Path) -> None:
    state = net("conv1.weight", "conv3.weight", "conv2.weight", shapes=(FIRST, OTHER, OTHER))
    torch.save({name: torch.from_numpy(array) for name, array in state.items()}, tmp_path / "net.pth")
    layer = '{ type = "conv", out = 4, kernel = 3, padding = 1 }, { type = "spike" }'
    (tmp_path / "net.toml").write_text(f"[network]\ninput = [2, 6, 6]\nlayers = [{layer}, {layer}, {layer}]\n")
    arguments = ("convert", tmp_path / "net.pth", "--network", tmp_path / "net.toml")
    told = invoke(tmp_path, *arguments)
    assert told.exit_code == 0, told.output
    assert "conv2      has the weights of conv2.weight" in told.stderr
    shown = invoke(tmp_path, *arguments, "--json")
    assert json.loads(shown.stdout)["recipe"] == {
        "entries": {"conv1": "conv1.weight", "conv2": "conv2.weight", "conv3": "conv3.weight"}
    }
    alone = invoke(tmp_path, *arguments[:2])
    assert alone.exit_code == 2
    assert "weights without their layers (conv1.weight, conv3.weight, conv2.weight); need --network" in alone.stderr
