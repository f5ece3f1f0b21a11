"""JSON as it is stored: equal values give equal bytes, and what is read has limits."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final, NoReturn

from deploytool.base.errors import ArtifactError

NESTING_MAX: Final = 64
"""The most lists and objects within each other in a file that is read; ours have at most 12."""
INTEGERS: Final = range(-(2**63), 2**63)
"""The integers that a file may have: those of 64 bits."""
NEED: Final = "a JSON file that deploytool wrote"


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and two-space indentation, ending in a newline: equal values, equal bytes."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """The value in the JSON file ``path``. Raises ArtifactError as `read_bytes` and `parse_json`."""
    return parse_json(read_bytes(path), str(path))


def read_bytes(path: Path, need: str = NEED) -> bytes:
    """The content of the file ``path``. Raises ArtifactError, which says ``need``, if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(str(path), f"not readable ({error.strerror})", need) from None


def parse_json(content: bytes, where: str, need: str = NEED) -> Any:
    """The value that the JSON ``content`` of the file ``where`` describes.

    Raises ArtifactError, which says ``need``, for what is no JSON in UTF-8, for numbers that are not finite or have
    more than 64 bits, and for more than `NESTING_MAX` levels.
    """
    try:
        text = content.decode("utf-8")
        value = json.loads(text, parse_int=_integer, parse_float=_real, parse_constant=_no_number)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise _too_deep(where) from None
    except ValueError as error:
        raise ArtifactError(where, f"not readable ({error})", need) from None
    if not _is_within(value, NESTING_MAX):
        raise _too_deep(where)
    return value


def _too_deep(where: str) -> ArtifactError:
    return ArtifactError(
        where, f"not readable (more than {NESTING_MAX} lists and objects within each other)", f"at most {NESTING_MAX}"
    )


def _is_within(value: Any, levels: int) -> bool:
    """Whether ``value`` has at most so many ``levels``."""
    if not isinstance(value, dict | list):
        return True
    items = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_within(item, levels - 1) for item in items if isinstance(item, dict | list))


def _integer(text: str) -> int:
    if len(text) > 20 or (value := int(text)) not in INTEGERS:
        raise ValueError(f"the number {text[:20]}... has more than 64 bits")
    return value


def _real(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text[:20])


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a finite number")
