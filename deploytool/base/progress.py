"""How work reports its progress: what to call with what."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Tell: TypeAlias = Callable[[str], None]
"""``tell(sentence)``: what the user should know about a successful step."""


def silent(_sentence: str) -> None:
    """Does nothing."""


Tick: TypeAlias = Callable[[float, int, str], None]
"""``tick(done, total, note)``: ``done`` of ``total`` are done, parts of one included; ``note`` says where it is.

As long as nothing is done, ``note`` says what is being prepared.
"""


def no_progress(done: float, total: int, note: str = "") -> None:
    """A Tick that shows nothing."""
