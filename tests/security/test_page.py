"""SECURITY.md: the tests that it names exist, and the README and the site lead to it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_the_tests_that_it_names_exist() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)`", TEXT))
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).exists()]


def test_readme_and_site_lead_to_it() -> None:
    assert "(SECURITY.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "../SECURITY.md" in (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    assert "(security.md)" in (ROOT / "docs" / "trust.md").read_text(encoding="utf-8")
