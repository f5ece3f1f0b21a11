"""Every key of a recipe says what it means: the recipe reference in the documentation is made of these sentences."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import deploytool.recipe
from deploytool.recipe.section import Section

for module in pkgutil.iter_modules(deploytool.recipe.__path__, "deploytool.recipe."):
    importlib.import_module(module.name)


def sections(of: type[Section] = Section) -> list[type[Section]]:
    """Every section of a recipe, nested ones included."""
    return [section for child in of.__subclasses__() for section in (child, *sections(child))]


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.__name__)
def test_every_section_and_key_is_described(section: type[Section]) -> None:
    assert section.__doc__
    assert section.__doc__.strip().endswith(".")
    for name, field in section.model_fields.items():
        if name == "type":
            continue
        assert field.description, f"{section.__name__}.{name}"
        assert field.description[0].isupper() or field.description[0] in "`([", field.description
        assert field.description.endswith("."), field.description
