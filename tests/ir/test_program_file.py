"""Programs on disk: what is written comes back, older files are upgraded, newer ones refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.families import FAMILIES
from helpers.layers import changed
from helpers.programs import streams
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import ArtifactError
from deploytool.base.tensors import read_tensors, write_tensors
from deploytool.ir.decoder import Decoder
from deploytool.ir.program import Program, Route
from deploytool.ir.program_file import UPGRADES, VERSION, load_program, save_program
from deploytool.run.reference.specification import run_reference
from deploytool.run.targets.table import make_target

VERSION_1 = """
{"arithmetic": "float32", "chip": "simulator", "core_of": {"a": 3}, "graph_digest": "0123", "input_routes":
[{"branch": 0, "delay_us": 0, "feature_shift": 0, "pool": [1, 1], "to": "a"}], "input_shape": [1, 2, 2], "layers":
{"a": {"at_most_one": false, "bias": null, "branches": [{"dilation": [1, 1], "groups": 1, "in_shape": [2, 1, 1],
"out_shape": [2, 1, 1], "padding": [0, 0], "stride": [1, 1]}], "dilation": [1, 1], "floor": -1.0, "groups": 1,
"in_shape": [1, 2, 2], "out_shape": [2, 1, 1], "padding": [0, 0], "part_of": null, "reset": "zero", "routes":
[{"branch": 0, "delay_us": 0, "feature_shift": 0, "pool": [1, 1], "to": "b1"}, {"branch": 0, "delay_us": 0,
"feature_shift": 0, "pool": [1, 1], "to": "b2"}, {"branch": 1, "delay_us": [7, 9], "feature_shift": 0, "pool": [1, 1],
"to": "a"}], "scale": 1.0, "sources": ["conv", "spike"], "stride": [1, 1], "tau_ms": null, "tau_syn_ms": null,
"threshold": null, "v_init": 0.0, "v_leak": 0.25, "v_reset": -0.5, "weights": null}, "b1": {"at_most_one": true,
"bias": null, "branches": [], "dilation": [1, 1], "floor": null, "groups": 1, "in_shape": [2, 1, 1], "out_shape": [1,
1, 1], "padding": [0, 0], "part_of": ["b", 0], "reset": "subtract", "routes": [], "scale": 2.0, "sources": ["b"],
"stride": [1, 1], "tau_ms": null, "tau_syn_ms": null, "threshold": 1.0, "v_init": 0.5, "v_leak": 0.0, "v_reset": 0.0,
"weights": null}, "b2": {"at_most_one": true, "bias": null, "branches": [], "dilation": [1, 1], "floor": null,
"groups": 1, "in_shape": [2, 1, 1], "out_shape": [1, 1, 1], "padding": [0, 0], "part_of": ["b", 1], "reset":
"subtract", "routes": [], "scale": 2.0, "sources": ["b"], "stride": [1, 1], "tau_ms": null, "tau_syn_ms": null,
"threshold": 1.0, "v_init": 0.5, "v_leak": 0.0, "v_reset": 0.0, "weights": null}}, "order": ["a", "b1", "b2"],
"outputs": ["b1", "b2"]}
"""
"""A program as version 1 described it: null where an array is, weights and neurons side by side, further weights as
``branches``."""

ARRAYS_1 = {
    "a.weights": np.arange(8, dtype=np.float32).reshape(2, 1, 2, 2) / 8,
    "a.threshold": np.array([1, 2], np.float32).reshape(2, 1, 1),
    "a.tau_ms": np.array([3.0, 5.0]).reshape(2, 1, 1),
    "a.bias": np.zeros(2, np.float32),
    "a.branch1.weights": np.full((2, 2, 1, 1), 0.5, np.float32),
    "b1.weights": np.full((1, 2, 1, 1), 1, np.float32),
    "b2.weights": np.full((1, 2, 1, 1), 2, np.float32),
}


def written_by_version_1(folder: Path) -> Path:
    (folder / "program.json").write_text(VERSION_1, encoding="utf-8")
    write_tensors(ARRAYS_1, folder / "program.safetensors")
    return folder


@given(st.one_of(*(family.programs() for family in FAMILIES.values())))
def test_a_program_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, program: Program) -> None:
    folder = tmp_path_factory.mktemp("program")
    save_program(program, folder)
    assert load_program(folder).digest == program.digest


def test_leaks_come_back(tmp_path: Path) -> None:
    program = load_program(written_by_version_1(tmp_path))
    leaks = {"tau_ms": np.array([3.0, 5.0]).reshape(2, 1, 1), "v_leak": 0.5, "tau_syn_ms": 2.0, "at_most_one": True}
    program = program.with_layers({**program.layers, "a": changed(program.layers["a"], **leaks)})
    save_program(program, tmp_path)
    assert load_program(tmp_path).digest == program.digest
    assert load_program(tmp_path).layers["a"].neurons.leak.tau_syn_ms == 2.0


def test_a_decoder_comes_back(tmp_path: Path) -> None:
    program = load_program(written_by_version_1(tmp_path))
    assert program.decoder is None
    decoder = Decoder(("vy", "vx"), np.array([[0.1, -1 / 3], [0.0, 1e-9]]), np.array([2.0, np.pi]), "px/s", "rate", 250)
    read = replace(program, decoder=decoder)
    save_program(read, tmp_path)
    assert load_program(tmp_path).digest == read.digest != program.digest


def test_a_layer_may_be_called_array(tmp_path: Path) -> None:
    program = load_program(written_by_version_1(tmp_path))
    alone = changed(program.layers["b1"], part_of=None)
    program = Program(
        "simulator", "float32", (2, 1, 1), (Route("array"),), {"array": alone}, ("array",), "", {"array": 2}
    )
    save_program(program, tmp_path)
    assert load_program(tmp_path).digest == program.digest


def test_a_file_states_its_version(tmp_path: Path) -> None:
    save_program(load_program(written_by_version_1(tmp_path)), tmp_path)
    assert json.loads((tmp_path / "program.json").read_text())["version"] == VERSION == max(UPGRADES) + 1


@pytest.mark.parametrize("stated", [None, 1])
def test_a_program_of_version_1_is_upgraded(tmp_path: Path, stated: int | None) -> None:
    folder = written_by_version_1(tmp_path)
    if stated is not None:
        (folder / "program.json").write_text(json.dumps({"version": stated, **json.loads(VERSION_1)}))
    program = load_program(folder)
    a, b = program.layers["a"], program.layers["b2"]
    assert list(program.layers) == ["a", "b1", "b2"]
    assert (program.core_of, program.outputs, program.graph_digest) == ({"a": 3}, ("b1", "b2"), "0123")
    assert a.routes == (Route("b1"), Route("b2"), Route("a", synapses=1, delay_us=(7, 9)))
    assert [each.in_shape for each in a.synapses] == [(1, 2, 2), (2, 1, 1)]
    assert np.array_equal(a.synapses[0].weights, ARRAYS_1["a.weights"])
    assert np.array_equal(a.synapses[1].weights, ARRAYS_1["a.branch1.weights"])
    assert np.array_equal(a.neurons.threshold, ARRAYS_1["a.threshold"])
    assert (a.neurons.floor, a.neurons.reset, a.neurons.at_most_one, a.neurons.v_reset) == (-1.0, "zero", False, -0.5)
    assert np.array_equal(a.neurons.leak.tau_ms, ARRAYS_1["a.tau_ms"])
    assert (a.neurons.leak.v_leak, a.neurons.leak.tau_syn_ms, a.sources) == (0.25, None, ("conv", "spike"))
    assert (b.part_of, b.scale, b.bias, b.neurons.leak, b.neurons.v_init) == (("b", 1), 2.0, None, None, 0.5)


@given(st.data())
def test_an_upgraded_program_runs(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    program = load_program(written_by_version_1(tmp_path_factory.mktemp("program")))
    stream = data.draw(streams(program.input_shape))
    found = make_target("simulator").run(program, [stream])
    assert found.counts["b"][0].tolist() == run_reference(program, stream).counts["b"].tolist()


def test_a_newer_program_is_refused(tmp_path: Path) -> None:
    folder = written_by_version_1(tmp_path)
    (folder / "program.json").write_text(json.dumps({"version": VERSION + 1}))
    with pytest.raises(ArtifactError) as caught:
        load_program(folder)
    assert caught.value.exit_code == 4
    assert str(caught.value) == (
        f"{folder / 'program.json'}: a program of format version {VERSION + 1}; need version {VERSION} or older. "
        "Update deploytool, or map the network again."
    )


def test_arrays_are_beside_the_json(tmp_path: Path) -> None:
    save_program(load_program(written_by_version_1(tmp_path)), tmp_path)
    described = json.loads((tmp_path / "program.json").read_text())["layers"]["a"]
    name = described["synapses"][1]["weights"]["array"]
    assert np.array_equal(read_tensors(tmp_path / "program.safetensors")[name], ARRAYS_1["a.branch1.weights"])


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("arithmetic",), "float16", "arithmetic: input should be 'float32' or 'int8/int16'"),
        (("chip",), "speck9", "chip: found 'speck9'; need simulator or one of"),
        (("layers",), [], "layers: input should be an object"),
        (("order",), ["a", "b1", "b1"], "order: other names than those of the layers; need each layer once"),
        (("outputs",), ["c"], "outputs: found 'c'; need names of layers of the program"),
        (("outputs",), [], "outputs: list should have at least 1 item"),
        (("input_shape",), [1, 2, 2**40], "input_shape.2: input should be less than or equal to"),
        (("layers", "a", "synapses", 0, "weights"), {"array": "x"}, "weights: no array 'x'; need an array of program"),
        (("layers", "a", "synapses", 0, "weights"), {"array": "a.neurons.threshold"}, "of shape (O, I/groups, KH, KW)"),
        (("layers", "a", "synapses", 0, "stride"), [0, 1], "stride.0: input should be greater than or equal to 1"),
        (("layers", "a", "neurons", "reset"), "never", "neurons.reset: input should be 'subtract' or 'zero'"),
        (("layers", "a", "out_shape"), [2, 9, 9], "out_shape: extra inputs are not permitted"),
        (("layers", "a", "routes", 0, "to"), "nowhere", "layer 'a': feeds 'nowhere'"),
        (("layers", "a", "decimation"), 0, "decimation: input should be greater than or equal to 1"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, path: tuple[str | int, ...], value: object, says: str) -> None:
    save_program(load_program(written_by_version_1(tmp_path)), tmp_path)
    file = tmp_path / "program.json"
    described = json.loads(file.read_text())
    parent = described
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    file.write_text(json.dumps(described))
    with pytest.raises(ArtifactError) as caught:
        load_program(tmp_path)
    assert caught.value.exit_code == 4
    assert str(caught.value).startswith(f"{file}: ")
    assert says in str(caught.value)


def test_fields_that_say_nothing_special_may_be_left_out(tmp_path: Path) -> None:
    save_program(load_program(written_by_version_1(tmp_path)), tmp_path)
    file = tmp_path / "program.json"
    described = json.loads(file.read_text())
    last = described["layers"]["b2"]
    assert (last.pop("routes"), last["neurons"].pop("leak")) == ([], None)
    before = load_program(tmp_path)
    file.write_text(json.dumps(described))
    assert load_program(tmp_path).digest == before.digest


def test_a_layer_without_a_core_is_named(tmp_path: Path) -> None:
    """A program for a chip states the core of every layer; readers rely on it."""
    save_program(load_program(written_by_version_1(tmp_path)), tmp_path)
    file = tmp_path / "program.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "chip": "speck2e", "core_of": {"a": 3}}))
    with pytest.raises(ArtifactError) as caught:
        load_program(tmp_path)
    assert "program for 'speck2e': layers without a core: b1, b2; need each" in "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.ones((2, 1, 2, 2)), "a: weights of float64 in a program of float32"),
        (np.full((2, 1, 2, 2), np.nan, np.float32), "that is not finite everywhere"),
        (np.ones((2, 1, 2), np.float32), "found float32 of shape (2, 1, 2); need finite numbers of shape"),
        (np.ones((2, 1, 1, 1), np.float32), "a: an output map of"),
    ],
)
def test_a_wrong_array_is_named(tmp_path: Path, array: np.ndarray, says: str) -> None:
    save_program(load_program(written_by_version_1(tmp_path)), tmp_path)
    arrays = dict(read_tensors(tmp_path / "program.safetensors"))
    name = next(name for name in arrays if name.startswith("a.synapses.0"))
    write_tensors({**arrays, name: array}, tmp_path / "program.safetensors")
    with pytest.raises(ArtifactError) as caught:
        load_program(tmp_path)
    assert says in str(caught.value)
