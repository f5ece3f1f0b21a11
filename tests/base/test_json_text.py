"""JSON as it is stored: it comes back, and equal values give equal bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import ArtifactError
from deploytool.base.json_text import canonical_json, read_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_a_stored_value_comes_back(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(canonical_json(value), encoding="utf-8")
    assert read_json(path) == value


def test_the_order_of_keys_does_not_count() -> None:
    assert canonical_json({"b": 1, "a": {"d": 2, "c": 3}}) == canonical_json({"a": {"c": 3, "d": 2}, "b": 1})
    assert canonical_json({"a": "µ"}) == '{\n  "a": "µ"\n}\n'


def test_what_json_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[" * 65 + b"]" * 65, "not readable (more than 64 lists and objects within each other); need at most 64."),
        (b"[" * 100_000, "more than 64 lists and objects"),
        (b'{"a": 9223372036854775808}', "the number 9223372036854775808... has more than 64 bits"),
        (b"9" * 5000, "the number 99999999999999999999... has more than 64 bits"),
        (b"[NaN]", "NaN is not a finite number"),
        (b"[1e999]", "1e999 is not a finite number"),
        (b'"\\ud800"', "surrogates not allowed"),
        (b"\xff", "can't decode byte 0xff"),
        (b"{", "Expecting property name"),
    ],
)
def test_what_no_file_of_ours_has_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        read_json(path)
    assert str(caught.value).startswith(f"{path}: not readable (")
    assert says in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"a\.json: not readable \(No such file"):
        read_json(tmp_path / "a.json")
