"""JSON files against a type: every wrong field is named, the first ones only if there are many."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, TypeAdapter

from deploytool.base.errors import ArtifactError
from deploytool.base.typed import PROBLEMS_MAX, read_checked, read_typed, typed


class Row(BaseModel):
    name: str
    size: int


ROWS = TypeAdapter(list[Row])


def test_a_file_is_read_as_its_type_or_as_plain_values(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"name": "a", "size": 1}]')
    assert read_typed(path, ROWS) == [Row(name="a", size=1)]
    assert read_checked(path, ROWS) == [{"name": "a", "size": 1}]


def test_wrong_fields_are_named() -> None:
    with pytest.raises(ArtifactError) as caught:
        typed([{"name": 1, "size": 1}, {"name": "b"}], "rows.json", ROWS, "rows")
    assert caught.value.problems == (
        "rows.json: 0.name: input should be a valid string; need rows.",
        "rows.json: 1.size: field required; need rows.",
    )


def test_of_many_wrong_fields_the_first_are_named() -> None:
    with pytest.raises(ArtifactError) as caught:
        typed([{}] * 1000, "rows.json", ROWS, "rows")
    assert len(caught.value.problems) == PROBLEMS_MAX + 1
    assert caught.value.problems[-1] == f"rows.json: {2000 - PROBLEMS_MAX:,} more wrong fields; need rows.".replace(
        ",", ""
    )
