"""The families of all formats: FAMILIES of each module in this folder."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Final

from tests.fuzz.family import Family

FAMILIES: Final[tuple[Family, ...]] = tuple(
    family
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name)
    for family in importlib.import_module(f"{__name__}.{module.name}").FAMILIES
)
