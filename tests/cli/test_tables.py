"""Tables in 60 columns: no figure is broken or lost, sentences wrap, names are shortened in the middle."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.cli.tables import Column, blocks, shortened, width_of
from deploytool.cli.terminal import print_value

figures = st.one_of(
    st.integers(-(10**9), 10**9).map(lambda number: f"{number:,}"),
    st.lists(st.integers(1, 4096), min_size=1, max_size=4).map(lambda sizes: "x".join(map(str, sizes))),
    st.floats(0, 100).map(lambda share: f"{share:.2f} %"),
)
names = st.from_regex(r"[a-z][a-z0-9_.]{0,40}", fullmatch=True)
sentences = st.lists(st.from_regex(r"[a-z]{1,12}", fullmatch=True), min_size=2, max_size=12).map(" ".join)


@st.composite
def columns(draw: st.DrawFn) -> list[Column]:
    rows = draw(st.integers(1, 4))
    made = []
    for _ in range(draw(st.integers(1, 9))):
        kind = draw(st.sampled_from([figures, names, sentences]))
        cells = draw(st.lists(kind, min_size=rows, max_size=rows))
        header = draw(st.sampled_from(["layer", "spikes per sample", "accuracy percent", "T"]))
        made.append(Column(header, tuple(cells), numbers=kind is figures and draw(st.booleans())))
    return made


@given(columns(), st.sampled_from([60, 80, 120]))
def test_every_block_fits_and_no_figure_is_broken(asked: list[Column], width: int) -> None:
    made = blocks(asked, width)
    assert all(width_of(block) <= width for block in made)
    shown = [made[0][0], *(column for block in made for column in block[1:])]
    assert len(shown) == len(asked)
    for before, after in zip(asked, shown, strict=True):
        for cell, fitted in zip(before.cells, after.cells, strict=True):
            words = fitted.split()
            kept = [word for word in cell.split() if re.match(r"-?[0-9]", word)]
            assert [word for word in words if re.match(r"-?[0-9]", word)] == kept
            if "…" not in fitted:
                assert words == cell.split()


@given(names, st.integers(5, 40))
def test_a_name_loses_its_middle(name: str, width: int) -> None:
    found = shortened(name, width)
    assert len(found) == min(len(name), width)
    if "…" in found:
        begin, end = found.split("…")
        assert name.startswith(begin)
        assert name.endswith(end)
        assert abs(len(begin) - len(end)) <= 1


def test_a_table_that_fits_is_left_alone() -> None:
    asked = [Column("layer", ("conv1",)), Column("spikes per sample", ("12",), numbers=True)]
    assert blocks(asked, 60) == [asked]


def test_columns_without_room_go_into_a_second_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    numbers = {f"quantity_{number}": 1_000_000 * number for number in range(1, 8)}
    print_value({"layers": [{"layer": "conv1", **numbers}]})
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "layers",
        "          quantity   quantity   quantity   quantity",
        "  layer          1          2          3          4",
        "  conv1  1,000,000  2,000,000  3,000,000  4,000,000",
        "          quantity   quantity   quantity",
        "  layer          5          6          7",
        "  conv1  5,000,000  6,000,000  7,000,000",
    ]


def test_on_a_terminal_a_sentence_ends_its_lines_between_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("FORCE_COLOR", "1")
    print_value({"energy": "46.52 uJ per sample, 0.47 mW on average (estimate for RAM and LOGIC)", "page": "/a/" * 30})
    assert capsys.readouterr().out.splitlines() == [
        "energy  46.52 uJ per sample, 0.47 mW on average (estimate",
        "        for RAM and LOGIC)",
        f"page    {'/a/' * 30}",
    ]
