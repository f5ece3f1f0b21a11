"""TOML as people write it: encodings, backslashes, and values on the command line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import RecipeError
from deploytool.recipe.toml import override, read_text, read_toml, write_toml


def read(path: Path) -> dict[str, Any]:
    file = read_toml(read_text(path), str(path))
    if file.mistakes:
        raise RecipeError.together(file.mistakes)
    return file.values


TEXT = 'name = "net"\n[data]\nroot = "a"\n'


@pytest.mark.parametrize(
    "content", [TEXT.encode("utf-8-sig"), TEXT.replace("\n", "\r\n").encode(), TEXT.replace('"a"', "'a'").encode()]
)
def test_files_as_editors_write_them(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.toml").write_bytes(content)
    assert read(tmp_path / "r.toml") == {"name": "net", "data": {"root": "a"}}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (TEXT.encode("utf-16"), "UTF-16 text; need a recipe in UTF-8. Save the file as UTF-8."),
        (b'a = "\xe4"', "not UTF-8 text; need a recipe in TOML. Save the file as UTF-8."),
        (b"a = " + b"[" * 3000, "nested too deeply"),
        (b"a = " + b"[" * 200 + b"]" * 200, "nested too deeply"),
        (b".".join([b"a"] * 10_000) + b" = 1", "nested too deeply"),
        (b"a = " + b"9" * 5000, "not TOML: Exceeds the limit (4300 digits)"),
        (b"[train\n", "not TOML: "),
    ],
)
def test_what_is_no_toml(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "r.toml").write_bytes(content)
    with pytest.raises(RecipeError) as error:
        read(tmp_path / "r.toml")
    assert sentence in str(error.value)
    assert "backslash" not in str(error.value)


@pytest.mark.parametrize("path", [r"C:\data", r"D:\Users\me", r"\\server\x", r"C:\new\tmp", r"C:\bin"])
def test_backslashes_in_double_quotes_get_the_way_out(tmp_path: Path, path: str) -> None:
    (tmp_path / "r.toml").write_text(f'name = "net"\n[data]\nroot = "{path}"\n')
    with pytest.raises(RecipeError, match="Write paths with / or in single quotes"):
        read(tmp_path / "r.toml")
    (tmp_path / "r.toml").write_text(f"name = 'net'\n[data]\nroot = '{path}'\n")
    assert read(tmp_path / "r.toml")["data"]["root"] == path


def test_every_escaped_text_is_told_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('[data]\nroot = "C:\\temp"\n[[network.layers]]\nname = "a\\nb"\n')
    with pytest.raises(RecipeError) as error:
        read(tmp_path / "r.toml")
    assert [problem.split(": ")[1] for problem in error.value.problems] == ["data.root", "network.layers.0.name"]


def test_values_on_the_command_line() -> None:
    values: dict[str, Any] = {}
    for text in (r"data.root=C:\data", "train.epochs=3", 'run.on=["emulator"]', "name=net"):
        override(values, text)
    assert values == {"data": {"root": "C:\\data"}, "train": {"epochs": 3}, "run": {"on": ["emulator"]}, "name": "net"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (r'data.root="C:\data"', "Write paths with / or in single quotes"),
        ("run.on=[emulator]", "need a value in TOML"),
        ("a=" + "[" * 3000, "nested too deeply"),
        ("a=" + "[" * 200 + "]" * 200, "nested too deeply"),
        ("train.epochs", "not of the form key=value"),
    ],
)
def test_values_that_are_none(text: str, sentence: str) -> None:
    with pytest.raises(RecipeError) as error:
        override({}, text)
    assert sentence in str(error.value)
    assert len(str(error.value)) < 300


SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)))
)
VALUES = st.recursive(
    SCALARS, lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside)
)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=5))
def test_what_is_written_is_read_again(values: dict[str, Any]) -> None:
    assert tomllib.loads(write_toml(values)) == values


def test_layers_are_written_one_per_line_and_none_is_left_out() -> None:
    values = {
        "name": "net",
        "network": {"input": [2, 4, 4], "layers": [{"type": "conv"}, {"type": "spike"}], "a": None},
    }
    assert write_toml(values) == (
        'name = "net"\n\n[network]\ninput = [2, 4, 4]\nlayers = [\n    { type = "conv" },\n    { type = "spike" },\n]\n'
    )
