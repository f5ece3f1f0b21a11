"""The output of `verify` on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deploytool.base.numbers import figure
from deploytool.store.faults import WRONG_CONTENT


def verified_for_terminal(found: Mapping[str, Any], verbose: bool) -> dict[str, Any]:
    """The output of `verify --json` for a terminal: one line per problem, or if ``verbose`` its whole sentence."""
    held = f"{_counted(found['artifacts'], 'artifact')}, {_counted(found['files'], 'file')}"
    parts = {
        "damaged": [_problem(row, verbose) for row in found["damaged"]],
        "affected": _lines(found["affected"], "made_from"),
        "origin not in this store": _lines(found["missing"], "inputs"),
        "unfinished": [f"{row['path']}: {row['is']}" for row in found["unfinished"]],
        "not deploytool's": ", ".join(found["unknown"]),
        "next": found["next"],
    }
    store = "whole" if found["whole"] else f"damaged, {_counted(len(found['damaged']), 'problem')}"
    read = f"{held}, {figure(found['megabytes'])} MB"
    return {"store": store, "read": read, **{name: part for name, part in parts.items() if part}}


def _problem(row: Mapping[str, str], verbose: bool) -> str:
    """A line; where a few words are not enough, or if ``verbose``, the sentence."""
    return row["says"] if verbose or row["found"] == WRONG_CONTENT else f"{row['path']}: {row['found']}"


def _lines(rows: list[dict[str, Any]], key: str) -> list[str]:
    return [f"{row['artifact']}: made from {name}" for row in rows for name in row[key]]


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
