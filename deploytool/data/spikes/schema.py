"""The schema of foreign recordings: the columns of spikes, of counts and of samples, and the names they may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from deploytool.base.errors import InputError


@dataclass(frozen=True)
class Field:
    """A column: its meaning, its unit, and its other names. ``text``: it may hold names, not only whole numbers."""

    says: str
    unit: str = ""
    others: tuple[str, ...] = ()
    text: bool = False


FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {
        "sample": Field("number of the sample, from 0, or its name; may be left out if there is one sample", text=True),
        "layer": Field(
            "name of a layer, of a part of one or of a graph node, or number of a core; `input` for input events",
            others=("node",),
            text=True,
        ),
        "core": Field("number of a core, in place of `layer`"),
        "t_us": Field(
            "time from the start of the sample; under its other names in the unit of `--time-unit`",
            "us",
            ("t", "ts", "time", "timestamp"),
        ),
        "c": Field("feature, from 0", others=("feature", "channel")),
        "y": Field("row, from 0", others=("row",)),
        "x": Field("column, from 0", others=("column", "col")),
        "neuron": Field("flat index (c H + y) W + x of a neuron, in place of `c`, `y` and `x`", others=("neuron_id",)),
        "count": Field("number of spikes of the neuron during the sample, before pooling", "spikes", ("counts",)),
        "name": Field("name of the sample", text=True),
        "label": Field("class of the sample; -1 if unknown"),
        "duration_us": Field("duration of the sample", "us"),
    }
)
"""Every column by its name."""


@dataclass(frozen=True)
class Table:
    """A kind of table: the columns it needs, those it may have, and what a row of it is."""

    says: str
    needs: tuple[str, ...]
    may: tuple[str, ...]
    mark: str


TABLES: Final[Mapping[str, Table]] = MappingProxyType(
    {
        "spikes": Table("one spike", ("t_us",), ("sample", "layer", "core", "c", "y", "x", "neuron"), "t_us"),
        "counts": Table(
            "the count of one neuron; a neuron without a row has no spike",
            ("count",),
            ("sample", "layer", "core", "c", "y", "x", "neuron"),
            "count",
        ),
        "samples": Table("one sample", ("name",), ("sample", "label", "duration_us"), "name"),
    }
)
"""The tables. ``mark`` is the column that tells a table from the others."""

_MEANINGS: Final = {other: name for name, field in FIELDS.items() for other in (name, *field.others)}

PLACES: Final = ("c", "y", "x")
LEFT_OUT: Final = ""
"""What a column, layer or array is renamed to if it is to be ignored."""

Renames = Mapping[str, str]
"""{name in a file: name in the schema or of a layer}; see `LEFT_OUT`."""


@dataclass(frozen=True)
class Header:
    """The columns of a table: its ``kind`` in `TABLES`, and {column: its name in the file}, in the file's order."""

    kind: str
    columns: Mapping[str, str]

    @property
    def states_us(self) -> bool:
        """Whether the name of the column of times states microseconds."""
        return self.columns.get("t_us") == "t_us"


def header_of(names: Sequence[str], renames: Renames, where: str) -> Header:
    """What the columns ``names`` of a table of the file ``where`` are; a column without a name is ignored.

    In a table with ``feature`` and ``timestamp``, as the drivers of chips name them, ``layer`` is the number of a core.
    Raises InputError for a name that is unknown or stands for a column twice, and for a column that is missing.
    """
    known = dict(_MEANINGS)
    if {"feature", "timestamp"} <= {name.lower() for name in names}:
        known["layer"] = "core"
    columns: dict[str, str] = {}
    for name in names:
        meant = renames.get(name, name)
        if LEFT_OUT in (name, meant):
            continue
        role = known.get(meant.lower())
        if role is None:
            todo = f"Say what it is with --rename {name}=COLUMN, or leave it out with --rename {name}=."
            raise InputError(where, f"a column {meant!r}", f"columns of {_tables()}", todo)
        if role in columns:
            raise InputError(where, f"columns {columns[role]} and {name}, which are both {role}", f"one of {role}")
        columns[role] = name
    return Header(_kind(columns, where), MappingProxyType(columns))


def names_columns(names: Sequence[str], renames: Renames) -> bool:
    """Whether one of ``names`` is that of a column."""
    return any(renames.get(name, name).lower() in _MEANINGS for name in names)


def _kind(columns: Mapping[str, str], where: str) -> str:
    """The kind of the table with ``columns``. Raises InputError unless they are those of one kind."""
    kinds = [kind for kind, table in TABLES.items() if table.mark in columns]
    found = f"columns {', '.join(columns) or 'none'}"
    if len(kinds) != 1:
        raise InputError(where, found, f"columns of {'one' if kinds else ''} of {_tables()}".replace("of  of", "of"))
    table = TABLES[kinds[0]]
    allowed = (*table.needs, *table.may)
    if extra := [name for name in columns if name not in allowed]:
        raise InputError(where, f"{found}: {extra[0]} is no column of {kinds[0]}", f"some of {', '.join(allowed)}")
    if "neuron" in allowed:
        places = [name for name in PLACES if name in columns]
        if not ("neuron" in columns and not places) and not ("neuron" not in columns and len(places) == len(PLACES)):
            raise InputError(where, found, "either c, y and x, or neuron")
        if {"layer", "core"} <= columns.keys():
            raise InputError(where, found, "either layer or core")
    return kinds[0]


def _tables() -> str:
    """The columns of every table, in words."""
    return ", or ".join(
        f"{kind} ({', '.join(name for name in (*table.may, *table.needs) if name not in ('core', 'neuron'))})"
        for kind, table in TABLES.items()
    )
