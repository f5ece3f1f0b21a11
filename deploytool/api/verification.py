"""Whether a store is as it was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploytool.api.result import counted, frame
from deploytool.api.session import MESSAGES
from deploytool.api.stored import DEFAULT_STORE
from deploytool.api.words import speaks_python
from deploytool.workflow.verify import Verified
from deploytool.workflow.verify import verify as verify_store

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False, repr=False)
class Verification:
    """What is wrong in a store, and what was made from that: all that `verify --json` says."""

    verified: Verified

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.verified.whole

    @property
    def problems(self) -> tuple[str, ...]:
        """What is damaged, one sentence each."""
        return tuple(str(fault.error) for fault in self.verified.faults)

    @property
    def affected(self) -> tuple[str, ...]:
        """The names of artifacts that were made from damaged ones."""
        return tuple(self.verified.affected)

    def as_json(self) -> dict[str, Any]:
        """What `deploytool verify --json` says."""
        return self.verified.as_json()

    def rows(self) -> list[dict[str, Any]]:
        """One row per problem: the path in the store, what was found, and the whole sentence."""
        rows: list[dict[str, Any]] = self.as_json()["damaged"]
        return rows

    def to_dataframe(self) -> pandas.DataFrame:
        """`rows` as a table of pandas."""
        return frame(self.rows())

    def __bool__(self) -> bool:
        return self.whole

    def __repr__(self) -> str:
        found = "whole" if self.whole else f"damaged, {counted(len(self.problems), 'problem')}"
        return f"Verification({found}, {counted(self.verified.artifacts, 'artifact')})"


@speaks_python
def verify(store: str | Path = DEFAULT_STORE) -> Verification:
    """Whether every byte in the folder ``store`` is as it was written, and if not, what is damaged.

    It is true if nothing is wrong. Raises ArtifactError if there is no such folder, or it cannot be read.
    """
    return Verification(verify_store(Path(store), MESSAGES))
