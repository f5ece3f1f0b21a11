"""Text in cells: a spreadsheet computes none of it, and it comes back as it was."""

from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.cells import FORMULA, escaped, unescaped


@given(st.text() | st.text(st.sampled_from(FORMULA + "a\"',")))
def test_no_cell_is_a_formula_and_each_comes_back(text: str) -> None:
    cell = escaped(text)
    assert cell[:1] not in set("=+-@\t\r\n＝＋－＠")
    assert unescaped(cell) == text
