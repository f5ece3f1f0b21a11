"""NIR files that lead out of themselves, link in circles or claim more than they hold: one sentence each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from deploytool.base.errors import InputError, UnsupportedError
from deploytool.convert.nir import read_nir

NEURONS = {"type": "IF", "r": np.ones(2), "v_threshold": np.ones(2)}


def write(path: Path, change: Callable[[h5py.Group], None] = lambda _: None, **metadata: Any) -> Path:
    """Two inputs, two neurons; ``change`` gets the group of the network, ``metadata`` is what its neurons state."""
    with h5py.File(path, "w") as file:
        top = file.create_group("node")
        top["type"] = "NIRGraph"
        nodes = {
            "input": {"type": "Input", "shape": np.array([2])},
            "w": {"type": "Linear", "weight": np.eye(2)},
            "s": NEURONS,
            "output": {"type": "Output", "shape": np.array([2])},
        }
        for name, fields in nodes.items():
            group = top.create_group(f"nodes/{name}")
            for field, value in fields.items():
                group[field] = value
        if metadata:
            top["nodes/s"].create_group("metadata")["deploytool"] = metadata.pop("text", None) or json.dumps(metadata)
        edges = [("input", "w"), ("w", "s"), ("s", "output")]
        top.create_dataset("edges", data=np.array(edges, dtype=object), dtype=h5py.string_dtype())
        change(top)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as error:
        read_nir(path, reset="subtract")
    (problem,) = error.value.problems
    assert "\n" not in problem
    return problem


def replaced(top: h5py.Group) -> h5py.Group:
    """The group of the weights, without them."""
    del top["nodes/w/weight"]
    return top["nodes/w"]


def test_the_file_these_are_made_from_is_sound(tmp_path: Path) -> None:
    assert read_nir(write(tmp_path / "net.nir"), reset="subtract").shapes["s"] == (2, 1, 1)


def test_external_storage_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(32))

    def change(top: h5py.Group) -> None:
        replaced(top).create_dataset("weight", (2, 2), np.float64, external=[(str(secret), 0, 32)])

    assert "/node/nodes/w/weight is stored in other files" in refusal(write(tmp_path / "net.nir", change))


def test_virtual_arrays_are_not_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["weight"] = np.eye(2)

    def change(top: h5py.Group) -> None:
        layout = h5py.VirtualLayout((2, 2), np.float64)
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "weight", (2, 2))
        replaced(top).create_virtual_dataset("weight", layout)

    assert "/node/nodes/w/weight is stored in other files" in refusal(write(tmp_path / "net.nir", change))


@pytest.mark.parametrize("link", [h5py.SoftLink("/node/nodes/s/r"), h5py.ExternalLink("other.h5", "weight")])
def test_links_are_not_followed(link: Any, tmp_path: Path) -> None:
    def change(top: h5py.Group) -> None:
        replaced(top)["weight"] = link

    assert "/node/nodes/w/weight is a link" in refusal(write(tmp_path / "net.nir", change))


def test_a_group_that_is_linked_twice(tmp_path: Path) -> None:
    """Forty groups, each of which holds the next one twice, are 2^40 ways."""

    def change(top: h5py.Group) -> None:
        group = top.create_group("nodes/deep")
        for _ in range(40):
            inner = group.create_group("a")
            group["b"] = inner
            group = inner

    assert "is linked twice" in refusal(write(tmp_path / "net.nir", change))


def test_a_circle_of_groups(tmp_path: Path) -> None:
    def change(top: h5py.Group) -> None:
        top["nodes/w/back"] = top

    assert "is linked twice" in refusal(write(tmp_path / "net.nir", change))


def test_groups_nested_without_end(tmp_path: Path) -> None:
    def change(top: h5py.Group) -> None:
        top.create_group("/".join(["nodes", *["g"] * 200]))

    assert "is nested too deeply" in refusal(write(tmp_path / "net.nir", change))


def test_an_array_that_was_never_written(tmp_path: Path) -> None:
    """Terabytes in a file of a few kilobytes."""

    def change(top: h5py.Group) -> None:
        replaced(top).create_dataset("weight", (10**6, 10**6), np.float32, chunks=(1000, 1000))

    assert "is too large for a file of this size" in refusal(write(tmp_path / "net.nir", change))


def test_identities_side_by_side_and_one_behind_another(tmp_path: Path) -> None:
    """Three abreast and forty deep, every one feeding all of the next: 3^40 ways."""

    def change(top: h5py.Group) -> None:
        edges, before = [], ["w"]
        for depth in range(40):
            names = [f"i{depth}_{i}" for i in range(3)]
            for name in names:
                top.create_group(f"nodes/{name}")["type"] = "Identity"
            edges += [(a, b) for a in before for b in names]
            before = names
        edges += [("input", "w"), *((name, "s") for name in before), ("s", "output")]
        del top["edges"]
        top.create_dataset("edges", data=np.array(edges, dtype=object), dtype=h5py.string_dtype())

    assert "more than 100,000 connections" in refusal(write(tmp_path / "net.nir", change))


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2)])
def test_edges_of_no_names(shape: tuple[int, ...], tmp_path: Path) -> None:
    def change(top: h5py.Group) -> None:
        del top["edges"]
        top.create_dataset("edges", shape, np.float64)

    assert refusal(write(tmp_path / "net.nir", change))


@pytest.mark.parametrize("text", ['{"v_init": ' + "[" * 100_000, '{"floor": NaN}', '{"floor": -Infinity}', "[]"])
def test_statements_that_are_no_json(text: str, tmp_path: Path) -> None:
    assert "metadata 'deploytool' is not a JSON object" in refusal(write(tmp_path / "net.nir", text=text))


@pytest.mark.parametrize(
    "stated", [{"threshold": 10**400}, {"v_init": [10**400, 0]}, {"floor": 5.0}, {"v_init": ["a", 0]}]
)
def test_statements_beyond_all_numbers(stated: dict[str, Any], tmp_path: Path) -> None:
    assert "metadata" in refusal(write(tmp_path / "net.nir", **stated))


def test_a_part_of_a_concat_that_is_an_input(tmp_path: Path) -> None:
    def change(top: h5py.Group) -> None:
        top["nodes/input"].create_group("metadata")["deploytool"] = '{"part": 0}'

    assert read_nir(write(tmp_path / "net.nir", change), reset="subtract").shapes["s"] == (2, 1, 1)


def test_names_cannot_steer_a_terminal(tmp_path: Path) -> None:
    def change(top: h5py.Group) -> None:
        top.create_group("nodes/red\x1b[31m")["type"] = "Nothing\x07"

    with pytest.raises(UnsupportedError) as error:
        read_nir(write(tmp_path / "net.nir", change), reset="subtract")
    assert "\x1b" not in str(error.value)
    assert "\x07" not in str(error.value)


def test_a_damaged_heap_of_texts(tmp_path: Path) -> None:
    """HDF5 itself would go round in it without end."""
    path = write(tmp_path / "net.nir")
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 16 : heap + 4096] = bytes(4080)
    path.write_bytes(content)
    assert "a damaged heap of texts; need a complete HDF5 file. Copy or write the file again." in refusal(path)


def test_a_bias_of_another_size_before_a_scale(tmp_path: Path) -> None:
    """The scale goes into the weights and the bias before it."""

    def change(top: h5py.Group) -> None:
        del top["nodes/w"], top["edges"]
        fields: dict[str, dict[str, Any]] = {
            "w": {"type": "Affine", "weight": np.eye(2), "bias": np.ones(3)},
            "scale": {"type": "Scale", "scale": np.full(2, 0.5)},
        }
        for name, values in fields.items():
            for field, value in values.items():
                top[f"nodes/{name}/{field}"] = value
        edges = [("input", "w"), ("w", "scale"), ("scale", "s"), ("s", "output")]
        top.create_dataset("edges", data=np.array(edges, dtype=object), dtype=h5py.string_dtype())

    assert "a bias of shape (3,); need shape (2,)" in refusal(write(tmp_path / "net.nir", change))
