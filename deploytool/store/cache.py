"""The store as a cache of stages: what was asked before is not made again. Also what is told to the person waiting."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

from deploytool.base.progress import Tick, progress
from deploytool.store.artifact import Artifact, Kind, Store, make_key

T = TypeVar("T")


class StageCache:
    """A store, and a voice on stderr that can be ``quiet``.

    Of several processes that torchrun started, which name themselves in RANK, only the first ``leads``: the others help
    it to train, are quiet, and write nothing.
    """

    def __init__(self, store: Path, quiet: bool = False) -> None:
        self.leads = os.environ.get("RANK", "0") == "0"
        self.store = Store(store)
        self.quiet = quiet or not self.leads

    def say(self, line: str) -> None:
        """Tells what is going on, unless quiet."""
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def progress(self, title: str, unit: str) -> AbstractContextManager[Tick]:
        return progress(title, unit, self.quiet)

    @contextlib.contextmanager
    def unfinished(self, kind: Kind, inputs: Mapping[str, str], recipe: Mapping[str, Any]) -> Iterator[Path]:
        """The folder where unfinished work on this question is kept; it goes when the body has ended well."""
        folder = self.store.root / "unfinished" / make_key(kind, inputs, recipe)[:12]
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()

    def stored(
        self,
        kind: Kind,
        inputs: Mapping[str, str],
        recipe: Mapping[str, Any],
        compute: Callable[[], T],
        write: Callable[[T, Path], None],
    ) -> Artifact:
        """The artifact for this question: the one in the store, or what ``compute`` gives, written by ``write``.

        A process that does not lead ends here, with SystemExit.
        """
        key = make_key(kind, inputs, recipe)
        if found := self.store.find(key, kind):
            if not self.leads:
                raise SystemExit(0)
            self.say(f"{kind:<10} {found.name}  already there")
            return found
        value = compute()
        if not self.leads:
            raise SystemExit(0)
        made = self.store.put(kind, key, inputs, recipe, lambda folder: write(value, folder))
        self.say(f"{kind:<10} {made.name}  made")
        return made
