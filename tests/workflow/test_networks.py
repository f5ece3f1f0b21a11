"""A network that a person names: what it is, what it takes, and that what does not exist is no such file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import RECIPE, invoke, network, refusal

from deploytool.base.errors import ArtifactError, InputError, UsageError
from deploytool.convert.nir import write_nir
from deploytool.store.artifact import Store
from deploytool.workflow.sources.networks import NO_OPTIONS, ImportOptions, assumed_network, kind_of, named_network

MISSING = [
    "net.nir",
    "folder/net.nir",
    "C:\\net.nir",
    "C:net.nir",
    "C:/nets/net.onnx",
    "D:\\nets\\model-final.pt",
    "model-final.nir",
    "model-final",
    "graph_v2.onnx",
    "a:b:c",
    "net.pt:2",
    "file:///net.nir",
    "a" * 300 + ".nir",
    "a\0b.nir",
    "-",
    "",
]


@pytest.mark.parametrize("source", MISSING)
def test_what_does_not_exist_is_no_such_file(source: str) -> None:
    with pytest.raises(ArtifactError, match="no such file or artifact; need a trained model"):
        kind_of(source)


@pytest.mark.parametrize("command", ["check", "convert", "map"])
@pytest.mark.parametrize("source", ["C:\\net.nir", "model-final.nir"])
def test_every_command_says_so(tmp_path: Path, command: str, source: str) -> None:
    assert f"{source}: no such file or artifact" in refusal(invoke(tmp_path, command, source), 4)


def test_what_is_there_counts_whatever_its_name_looks_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("model-1a2b.nir", "graph@latest.nir", "a:b.nir", "graph-1a2b"):
        write_nir(network(), Path(name))
        assert kind_of(name) == "a .nir file"
    Path("NET.ONNX").write_bytes(b"")
    assert kind_of("NET.ONNX") == "a .onnx file"
    Path("notes.txt").write_text("text")
    with pytest.raises(InputError, match=r"notes\.txt: neither its name nor its first bytes are those of a network"):
        kind_of("notes.txt")


@pytest.mark.parametrize("source", ["model@latest", "model-1a2b", "graph", "graph@oldest", "program-00"])
def test_references_to_the_store(source: str, tmp_path: Path) -> None:
    assert kind_of(source) == "an artifact"
    with pytest.raises(ArtifactError):
        named_network(Store(tmp_path), source, NO_OPTIONS)


def test_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kind_of("package.module:build") == "a module"
    assert kind_of("net:build") == "a module"
    monkeypatch.chdir(tmp_path)
    Path("nets").mkdir()
    Path("nets/small.py").write_text("")
    with pytest.raises(ArtifactError, match=r"Write nets\.small:build for a function in a file\."):
        kind_of("nets/small.py:build")


def test_a_folder_that_may_not_be_entered_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(ArtifactError, match=r"no/net\.nir: cannot be read \(Permission denied\)"):
        kind_of("no/net.nir")


def test_a_recipe_has_no_weights_to_convert_or_map(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(RECIPE)
    for command in ("convert", "map"):
        said = refusal(invoke(tmp_path, command, tmp_path / "r.toml"), 2)
        assert "a recipe, which has no weights before training; need a trained model. Run deploytool train" in said


def test_a_state_dict_needs_no_more_of_a_recipe_than_its_network(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"0.weight": torch.ones(4, 2, 3, 3)}, tmp_path / "net.pt")
    layers = '[{ type = "conv", out = 4, kernel = 3 }, { type = "spike" }]'
    (tmp_path / "net.toml").write_text(f"[network]\ninput = [2, 8, 8]\nlayers = {layers}\n")
    options = ImportOptions(network=tmp_path / "net.toml")
    graph = named_network(Store(tmp_path), str(tmp_path / "net.pt"), options).graph
    assert graph.shapes["output"] == (4, 6, 6)
    (tmp_path / "net.toml").write_text("[train]\nepochs = 3\n")
    assert "network: missing" in refusal(
        invoke(tmp_path, "check", tmp_path / "net.pt", "--network", tmp_path / "net.toml"), 3
    )


def test_what_a_file_leaves_unsaid_is_told_and_what_has_no_effect_is_refused(tmp_path: Path) -> None:
    stated = tmp_path / "net.nir"
    write_nir(replace(network(), dt_ms=2.0), stated)
    assert assumed_network(stated, NO_OPTIONS)[1] == ()
    with pytest.raises(UsageError, match="--dt-ms has no effect"):
        assumed_network(stated, ImportOptions(dt_ms=5.0))


def test_notes_of_the_onnx_reader_reach_the_user(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is an extra")
    weights = onnx.numpy_helper.from_array(np.ones((3, 4), np.float32), "w")
    nodes = [
        onnx.helper.make_node("Gemm", ["x", "w"], ["a"], transB=1),
        onnx.helper.make_node("Softmax", ["a"], ["y"]),
    ]
    value = onnx.helper.make_tensor_value_info
    ends = value("x", onnx.TensorProto.FLOAT, (1, 4)), value("y", onnx.TensorProto.FLOAT, (1, 3))
    graph = onnx.helper.make_graph(nodes, "net", [ends[0]], [ends[1]], [weights])
    opset = onnx.helper.make_opsetid("", 17)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), tmp_path / "net.onnx")
    named_network(Store(tmp_path / "store"), str(tmp_path / "net.onnx"), NO_OPTIONS)
    assert [note.split(":")[0] for note in caplog.messages] == ["net.onnx"] * 2
    assert "Softmax" in caplog.messages[0]
