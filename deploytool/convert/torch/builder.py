"""The user's function that builds a module."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from torch import nn

from deploytool.base.errors import InputError, UsageError

log = logging.getLogger(__name__)


def load_builder(name: str) -> Callable[[], nn.Module]:
    """The function ``name``, of the form package.module:function, which builds a module, or is one.

    Importing and calling it runs user code; a line in the log says so first. The current folder is searched too.
    Raises UsageError if there is no such function. An exception in the function, or a result that is not a module,
    is an InputError.
    """
    module_name, _, function_name = name.partition(":")
    log.warning("running your code: %s", name)
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
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


def _raised(name: str, error: BaseException) -> InputError:
    return InputError(name, f"raised {type(error).__name__}: {error}", "a function that returns a module")
