"""What every test may use: the third-party data beside the checkout, and a quiet profile for hypothesis."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("deploytool", deadline=None, print_blob=True)
settings.load_profile("deploytool")
os.environ.setdefault("COLUMNS", "120")
os.environ.setdefault("NO_COLOR", "1")

SHARED = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings and third-party files; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("no third-party data beside this checkout (../shared/data)")
    return SHARED
