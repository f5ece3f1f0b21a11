"""A sandbox in which the examples of the documentation run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from manual.sandbox import Sandbox, sandbox


@pytest.fixture(scope="session")
def prepared() -> Iterator[Sandbox]:
    """Small inputs, and all that a small pipeline made of them."""
    for package in ("torch", "sklearn", "onnx", "sinabs"):
        pytest.importorskip(package, reason=f"the examples need {package}, which make setup installs")
    with sandbox() as made:
        yield made
