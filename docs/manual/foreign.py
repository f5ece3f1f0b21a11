"""The schema of recordings that other programs made, from its record in the code."""

from __future__ import annotations

from deploytool.data.spikes.schema import FIELDS, TABLES
from manual.markdown import listed, prose, table


def schema() -> str:
    """The columns of every table, with their units and their other names."""
    parts = []
    for kind, each in TABLES.items():
        rows = [
            (
                f"`{name}`",
                ", ".join(f"`{other}`" for other in FIELDS[name].others),
                FIELDS[name].unit,
                FIELDS[name].says,
            )
            for name in (*each.may, *each.needs)
        ]
        needs = listed([f"`{name}`" for name in each.needs], "and")
        parts.append(
            f"### {kind.capitalize()}\n\nA row is {prose(each.says)}. A table with {needs} is one of {kind}.\n"
        )
        parts.append(table(("Column", "Also called", "Unit", "Meaning"), rows))
    return "\n".join(parts)
