"""Tables and bars of views."""

from __future__ import annotations

import re

from markupsafe import Markup

from deploytool.report.views.frame import BAR, bar, items, paragraph, table, view


def widths(drawn: Markup) -> dict[str, float]:
    """{class of a rectangle: its width}."""
    found = re.findall(r'<rect width="([\d.]+)"[^>]*class="(dt-\w+)"', drawn)
    return {class_: float(width) for width, class_ in found}


def test_a_bar_is_in_proportion() -> None:
    found = bar(held=30, taken=50, whole=100, says="50 of 100")
    assert widths(found) == {"dt-room": BAR, "dt-lost": BAR / 2, "dt-held": round(0.3 * BAR, 2)}
    assert "50 of 100" in found


def test_a_bar_beyond_the_whole_is_full_and_has_the_other_colour() -> None:
    assert widths(bar(held=300, taken=500, whole=100, says="")) == {"dt-room": BAR, "dt-over": BAR}
    assert widths(bar(held=0, taken=0, whole=0, says="")) == {"dt-room": BAR, "dt-lost": 0, "dt-held": 0}


def test_columns_of_numbers_are_on_the_right() -> None:
    found = table(("name", "number", "share", "mixed"), [("a", 1234, "12.50\u202f%", 1), ("b", None, "undefined", "x")])
    heads = re.findall(r"<th( class=\"dt-number\")?>(\w+)</th>", found)
    assert [(name, bool(number)) for number, name in heads] == [
        ("name", False),
        ("number", True),
        ("share", True),
        ("mixed", False),
    ]
    assert '<td class="dt-number">1,234</td>' in found
    assert '<td class="dt-number">–</td>' in found


def test_texts_are_escaped_and_markup_is_not() -> None:
    found = view("<t>", paragraph("<p>"), items("<i>", ["<e>"]), table(["<c>"], [["<d>"], [Markup("<hr/>")]]), None)
    for text in ("<t>", "<p>", "<i>", "<e>", "<c>", "<d>"):
        assert f"&lt;{text[1]}&gt;" in found
    assert "<hr/>" in found


def test_no_list_without_items() -> None:
    assert items("Problems", []) is None
