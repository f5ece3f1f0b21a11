"""Values on a terminal: short ones beside their keys, lists of mappings as tables, and every kind of cell."""

from __future__ import annotations

from typing import Any

import pytest

from deploytool.cli.terminal import print_value


def shown(capsys: pytest.CaptureFixture[str], value: Any) -> list[str]:
    print_value(value)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_short_values_stand_beside_their_keys_and_long_ones_below(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"rows": [{"layer": "conv", "spikes_per_sample": 1234.5}], "name": "a", "samples": 12000}
    assert shown(capsys, value) == [
        "name     a",
        "samples  12,000",
        "rows",
        "  layer  spikes per sample",
        "  conv               1,234",
    ]


def test_a_table_that_is_too_wide_breaks_its_headers_and_not_its_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    row = {
        "rung": "quantised",
        "accuracy_percent": 97.5,
        "synops_per_sample": 318549,
        "note": "a sentence that goes on",
    }
    assert shown(capsys, {"rows": [row | {"time_steps": 4}]}) == [
        "rows",
        "                        synops",
        "             accuracy      per                         time",
        "  rung        percent   sample  note                  steps",
        "  quantised     97.50  318,549  a sentence that goes      4",
        "                                on",
    ]


def test_sentences_get_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, {"says": ["one thing", "another"]}) == ["says", "  one thing", "  another"]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, "-"),
        (True, "yes"),
        (0.0, "0.00"),
        (0.001234, "0.0012"),
        (-1234.567, "−1,235"),
        ([1, 2], "1, 2"),
        ([], "-"),
        ({}, "-"),
        ("[red]", "[red]"),
    ],
)
def test_cells(capsys: pytest.CaptureFixture[str], value: Any, cell: str) -> None:
    assert shown(capsys, {"key": value}) == [f"key  {cell}"]


def test_a_row_without_a_key_has_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, [{"a": 1, "b": 2}, {"a": 3}])[-1].split() == ["3", "-"]


def test_nothing_in_a_value_moves_the_cursor_or_turns_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a\x1b]0;x\x07\r\n\u202eb"
    print_value({name: name, "rows": [{name: name}], "list": [f"{name} c"], "pairs": {"b": {name: name}}})
    out = capsys.readouterr().out
    assert all(line.isprintable() for line in out.splitlines())
    assert out.count(r"a\x1b]0;x\x07\r\n\u202eb") == 7
