"""From a trained spiking neural network to a Speck2e chip, with proof of how far the answers differ.

    import deploytool as dt

    net = dt.load("net.nir", reset="subtract")
    dt.check(net)
    program = dt.compile(net, chip="speck2e")
    recording = dt.emulate(program, "recordings/")

Nothing is imported before it is used.
"""

from __future__ import annotations

import builtins
import sys
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    __version__: str
    from deploytool.api.events import Events as Events
    from deploytool.api.events import events as events
    from deploytool.api.fit import Fit as Fit
    from deploytool.api.fit import check as check
    from deploytool.api.graph import Graph as Graph
    from deploytool.api.graph import load as load
    from deploytool.api.model import Model as Model
    from deploytool.api.model import train as train
    from deploytool.api.program import Program as Program
    from deploytool.api.program import compile as compile  # noqa: A004
    from deploytool.api.recording import Recording as Recording
    from deploytool.api.recording import clock_driven as clock_driven
    from deploytool.api.recording import emulate as emulate
    from deploytool.api.recording import simulate as simulate
    from deploytool.api.stored import open as open  # noqa: A004
    from deploytool.api.stored import save as save
    from deploytool.api.verdict import Comparison as Comparison
    from deploytool.api.verdict import Verdict as Verdict
    from deploytool.api.verdict import compare as compare
    from deploytool.api.verdict import report as report
    from deploytool.api.verdict import validate as validate
    from deploytool.api.verification import Verification as Verification
    from deploytool.api.verification import verify as verify
    from deploytool.base.errors import DeployError as DeployError
    from deploytool.ir.events import EventStream as EventStream
    from deploytool.recipe import Recipe as Recipe

HOMES: Final = MappingProxyType(
    {
        "api.graph": ("load", "Graph"),
        "api.fit": ("check", "Fit"),
        "api.model": ("train", "Model"),
        "api.program": ("compile", "Program"),
        "api.events": ("events", "Events"),
        "api.recording": ("emulate", "simulate", "clock_driven", "Recording"),
        "api.verdict": ("compare", "validate", "report", "Comparison", "Verdict"),
        "api.stored": ("open", "save"),
        "api.verification": ("verify", "Verification"),
        "base.errors": ("DeployError",),
        "ir.events": ("EventStream",),
        "recipe": ("Recipe",),
    }
)
"""{module: the names of it that users see}."""


class _Name:
    """A name of the package that is imported when it is used.

    The import system sets ``deploytool.train`` to the room train when that is imported; the function stays.
    """

    def __init__(self, home: str, name: str) -> None:
        self._home = home
        self._name = name

    def __get__(self, package: ModuleType | None, owner: type[ModuleType]) -> Any:
        return getattr(import_module(f"{__name__}.{self._home}"), self._name)

    def __set__(self, package: ModuleType, value: object) -> None:
        if not isinstance(value, ModuleType):
            raise AttributeError(f"{__name__}.{self._name} cannot be changed")


class _Package(ModuleType):
    """This package, with the names of `HOMES`."""

    @property
    def __version__(self) -> str:
        from importlib.metadata import version

        return version(__name__)

    def __dir__(self) -> list[str]:
        return sorted([*NAMES, "__version__", *(name for name in super().__dir__() if name.startswith("__"))])


NAMES: Final = tuple(sorted(name for names in HOMES.values() for name in names))
__all__ = [name for name in NAMES if not hasattr(builtins, name)]

for _home, _names in HOMES.items():
    for _each in _names:
        setattr(_Package, _each, _Name(_home, _each))
sys.modules[__name__].__class__ = _Package
