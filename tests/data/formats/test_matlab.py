"""Variables of MATLAB files: what scipy finds in them, and damaged ones, which scipy reads into a crash."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import InputError
from deploytool.data.formats.matlab import variables_of

KINDS = st.sampled_from(["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
SHAPES = st.sampled_from([(1, 1), (1, 7), (5, 1), (3, 4), (2, 3, 4), (0, 4)])


@given(KINDS, SHAPES, st.booleans(), st.integers(0, 99))
def test_numbers_are_those_of_scipy(
    tmp_path_factory: pytest.TempPathFactory, kind: str, shape: tuple[int, ...], packed: bool, seed: int
) -> None:
    scipy = pytest.importorskip("scipy.io")
    array = np.random.default_rng(seed).integers(0, 100, shape).astype(kind)
    path = tmp_path_factory.mktemp("mat") / "a.mat"
    values = {"array": array, "of": {"long_name": array, "b": array.T, "words": "no number"}, "word": "text"}
    scipy.savemat(path, values | {"wave": 1j * np.ones(3)}, do_compression=packed)
    found = variables_of(path)
    assert found.keys() == {"array", "of"}
    assert np.array_equal(found["array"], array)
    fields = found["of"]
    assert isinstance(fields, dict)
    assert fields.keys() == {"long_name", "b"}
    assert np.array_equal(fields["b"], array.T)


@pytest.mark.parametrize("packed", [True, False])
def test_damaged_files_are_refused_or_read(tmp_path: Path, packed: bool) -> None:
    scipy = pytest.importorskip("scipy.io")
    path = tmp_path / "a.mat"
    scipy.savemat(path, {"a": np.arange(99.0), "s": {"t": np.arange(9)}}, do_compression=packed)
    content, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(500):
        damaged = bytearray(content[: rng.integers(128, len(content) + 1)])
        at = int(rng.integers(0, len(damaged)))
        damaged[at : at + 4] = rng.bytes(4)
        path.write_bytes(damaged)
        try:
            variables_of(path)
        except InputError as error:
            refused += 1
            (problem,) = error.problems
            assert len(problem.splitlines()) == 1
    assert refused > 200
