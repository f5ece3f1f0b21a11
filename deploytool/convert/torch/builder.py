"""The user's function that builds a module."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path

from torch import nn

from deploytool.base.display import announce
from deploytool.base.errors import InputError, UsageError


def load_builder(name: str) -> Callable[[], nn.Module]:
    """The function ``name``, of the form package.module:function, which builds a module, or is one.

    Importing and calling it runs user code; a line on stderr says so first, with the file. The current folder is
    searched too. Raises UsageError if there is no such function. An exception in the function, or a result that is not
    a module, is an InputError.
    """
    module_name, _, function_name = name.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        announce(f"running your code: {name}, in {file_of(module_name) or 'a module without a file'}")
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(name, f"cannot be imported ({error})", "package.module:function") from error
    except (Exception, SystemExit) as error:
        raise _raised(name, error) from error
    finally:
        sys.path.remove(here)

    def build() -> nn.Module:
        try:
            module = function if isinstance(function, nn.Module) else function()
        except (Exception, SystemExit) as error:
            raise _raised(name, error) from error
        if not isinstance(module, nn.Module):
            raise InputError(name, f"returned a {type(module).__name__}", "a torch.nn.Module")
        return module

    return build


def file_of(module: str) -> str | None:
    """The file that an import of ``module`` runs, found without running one; None if there is none."""
    if (loaded := sys.modules.get(module)) is not None:
        return getattr(loaded, "__file__", None)
    name, *inside = module.split(".")
    found = importlib.util.find_spec(name)
    for part in inside:
        if found is None or found.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        found = PathFinder.find_spec(name, found.submodule_search_locations)
    return found.origin if found is not None and found.has_location else None


def _raised(name: str, error: BaseException) -> InputError:
    return InputError(name, f"raised {type(error).__name__}: {error}", "a function that returns a module")
