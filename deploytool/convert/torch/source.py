"""Lines of the user's source."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from types import FrameType, TracebackType

import torch

import deploytool


def user_line(base: FrameType, call: object) -> tuple[str, bool]:
    """(``net.py:12``, whether it belongs to the innermost module) of the innermost line of user code above ``base``.

    ``call`` is the code of the function that every call of a module goes through; a line below the last of them is in
    the forward or a hook of the innermost module. ("", False) if there is none.
    """
    frame: FrameType | None = sys._getframe(1)
    inside = True
    while frame is not None and frame is not base:
        if frame.f_code is call:
            inside = False
        elif not _is_library(frame.f_code.co_filename):
            return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}", inside
        frame = frame.f_back
    return "", False


def line_of(error: BaseException, base: FrameType) -> str:
    """``net.py:12``, the innermost line of user code below ``base`` in the traceback of ``error``; "" for none."""
    found, below = "", False
    step: TracebackType | None = error.__traceback__
    while step is not None:
        if step.tb_frame is base:
            below = True
        elif below and not _is_library(step.tb_frame.f_code.co_filename):
            found = f"{Path(step.tb_frame.f_code.co_filename).name}:{step.tb_lineno}"
        step = step.tb_next
    return found


@functools.cache
def _is_library(file: str) -> bool:
    sinabs = getattr(sys.modules.get("sinabs"), "__file__", None)
    folders = [Path(name).parent for name in (torch.__file__, deploytool.__file__, sinabs) if name]
    return file.startswith("<") or any(Path(file).is_relative_to(folder) for folder in folders)
