"""Text from elsewhere: what a terminal would obey is escaped, and what it shows stays."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.printable import SPACES, printable, shortened


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = printable(text)
    assert all(c.isprintable() or c in SPACES for c in shown)
    assert printable(shown) == shown


@given(st.text(st.characters(categories=("L", "N", "P", "S"), include_characters=" ")))
def test_letters_figures_and_signs_stay(text: str) -> None:
    assert printable(text) == text


def test_controls_line_ends_and_directions_are_escapes() -> None:
    assert printable("a\x1b[31m\r\n\x9b\x7f\t\u2028") == r"a\x1b[31m\r\n\x9b\x7f\t\u2028"
    turned = [chr(code) for code in range(0x110000) if unicodedata.bidirectional(chr(code)) in BIDI_CONTROLS]
    assert len(turned) == 9
    for character in [*turned, "\u200e", "\u200f", "\u061c", "\u200b", "\ufeff", "\ud800", "\U000e0041"]:
        assert printable(f"a{character}b").isascii()
    assert printable("97\u202f% ✓ 北京") == "97\u202f% ✓ 北京"


BIDI_CONTROLS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


@given(st.text(), st.integers(1, 40))
def test_a_shortened_text_is_a_beginning_that_says_so(text: str, length: int) -> None:
    found = shortened(text, length)
    assert len(found) <= length
    assert found == text or (found[-1] == "…" and text.startswith(found[:-1]))
