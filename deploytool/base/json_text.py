"""JSON as it is stored: equal values give equal bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and two-space indentation, ending in a newline: equal values, equal bytes."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """The value in the JSON file ``path``."""
    return json.loads(path.read_text(encoding="utf-8"))
