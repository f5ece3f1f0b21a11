"""What is on disk, and what a command answers: files, manifests and exit codes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploytool.base import errors
from deploytool.base.errors import NEGATIVE_VERDICT, DeployError
from deploytool.store.manifest import Manifest
from manual.markdown import prose, table


def exit_codes() -> str:
    """Every exit code with its meaning, from the tree of errors."""
    rows = [("0", "The command did what it was asked."), ("1", "A bug in deploytool: a traceback on stderr.")]
    rows += [(str(kind.exit_code), _meaning(kind)) for kind in _kinds()]
    rows += [
        (str(NEGATIVE_VERDICT), "The validation or self-test ran, and its verdict is negative."),
        ("130", "Interrupted with Ctrl-C. Run the same command again: finished work is kept."),
        ("143", "Terminated by SIGTERM, as 130."),
        ("129", "The terminal was closed (SIGHUP), as 130. With `nohup` the command goes on."),
    ]
    return table(("Code", "Meaning"), rows)


def manifest() -> str:
    """The fields of a manifest, with their types."""
    rows = [(f"`{name}`", _type(field)) for name, field in Manifest.model_json_schema()["properties"].items()]
    return f"{prose(Manifest.__doc__ or '')}\n\n{table(('Field', 'Type'), rows)}"


def _kinds() -> Iterator[type[DeployError]]:
    yield from sorted(DeployError.__subclasses__(), key=lambda kind: kind.exit_code)


def _meaning(kind: type[DeployError]) -> str:
    """What the tree in the docstring of the errors says of ``kind``."""
    found = re.search(rf"{kind.__name__}\s+(\d+)\s+(.+)", errors.__doc__ or "")
    assert found, f"{kind.__name__} is not in the tree of errors"
    assert int(found[1]) == kind.exit_code, f"{kind.__name__}: the tree of errors says {found[1]}"
    return f"{found[2][0].upper()}{found[2][1:].rstrip('.')}."


def _type(field: dict[str, object]) -> str:
    kinds = {"integer": "whole number", "string": "text", "object": "object"}
    match field:
        case {"type": kind}:
            return kinds[str(kind)]
        case {"anyOf": [{"type": kind}, {"type": "null"}]}:
            return f"{kinds[str(kind)]}, or missing"
    raise ValueError(f"no words for the type of {field}")
