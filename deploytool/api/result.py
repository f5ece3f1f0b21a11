"""What every result is: an artifact in a store, with the value in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploytool.base.errors import UsageError
from deploytool.store.artifact import Artifact
from deploytool.store.cache import StageCache
from deploytool.store.lineage import copied
from deploytool.workflow.show import describe

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """A result, kept as an ``artifact`` in a store; two are equal if their digests are."""

    artifact: Artifact
    cache: StageCache

    @property
    def name(self) -> str:
        """Its name in its store, for example "program-1a2b3c4d5e6f"."""
        return self.artifact.name

    @property
    def digest(self) -> str:
        """The SHA-256 of its content and of everything that it was made from."""
        return self.artifact.digest

    @property
    def store(self) -> Path:
        """The folder of its store."""
        return self.cache.store.root

    @property
    def path(self) -> Path:
        """Its folder, which holds its files."""
        return self.artifact.path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Result) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._facts())})"

    def _facts(self) -> Iterable[str]:
        """What the one line of `repr` says, in order."""
        return [self.name]

    def describe(self) -> dict[str, Any]:
        """What `deploytool show --json` says of it, as plain values."""
        return describe(self.cache.store, self.artifact)


def artifact_in(result: Result, cache: StageCache) -> Artifact:
    """The artifact of ``result`` in the store of ``cache``; it and what it was made from are copied if need be."""
    if cache.store.root.absolute() == result.store.absolute():
        return result.artifact
    return copied(result.artifact, result.cache.store, cache.store)


def frame(rows: Iterable[Mapping[str, Any]]) -> pandas.DataFrame:
    """``rows`` as a table of pandas. Raises UsageError where pandas is not installed."""
    try:
        import pandas
    except ImportError:
        raise UsageError("to_dataframe", "pandas is not installed", "pandas", "pip install pandas") from None
    return pandas.DataFrame(list(rows))


def counted(number: int, noun: str) -> str:
    """``1 core``, or ``2 cores``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
