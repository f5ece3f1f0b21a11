"""The same numbers in any type that NIR files have them in are the same network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from deploytool.base.digest import digest
from deploytool.convert.nir import read_nir
from deploytool.ir.program import Program
from deploytool.map.group import group

TYPES = ("<f8", "<f4", "<f2", ">f4", "i1", "u1", "<i2", "<i4", ">i4", "<i8", "<u8")


def neurons(kind: str, one: np.ndarray) -> Any:
    match kind:
        case "IF":
            return nir.IF(3 * one, 7 * one, v_reset=0 * one)
        case "LIF":
            return nir.LIF(2 * one, 3 * one, one, 7 * one, v_reset=0 * one)
    return nir.CubaLIF(3 * one, 2 * one, 3 * one, one, 7 * one, v_reset=0 * one, w_in=2 * one)


def program(kind: str, scale: list[float] | None, of_type: str, path: Path) -> Program:
    nodes: dict[str, Any] = {
        "input": nir.Input(np.array([3])),
        "fc": nir.Affine(np.array([[1, 2, 3], [3, 1, 5]], of_type), np.array([1, 3], of_type)),
        **({"scale": nir.Scale(np.array(scale))} if scale else {}),
        "n": neurons(kind, np.ones(2, of_type)),
        "output": nir.Output(np.array([2])),
    }
    nir.write(path, nir.NIRGraph(nodes, list(zip([*nodes][:-1], [*nodes][1:], strict=True))))
    return group(read_nir(path, reset="zero", floor=-4.0, dt_ms=500.0))


@pytest.mark.parametrize("scale", [None, [0.5, 0.25], [2, 3]])
@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF"])
def test_a_network_is_the_same_whatever_type_its_numbers_have(
    kind: str, scale: list[float] | None, tmp_path: Path
) -> None:
    digests = {of_type: digest(program(kind, scale, of_type, tmp_path / "net.nir").layers) for of_type in TYPES}
    assert set(digests.values()) == {digests["<f8"]}
