"""The store as a cache of stages: a repeated request is not computed again."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from deploytool.base.files import alone
from deploytool.base.machine import is_first_process
from deploytool.base.messages import Messages
from deploytool.store.artifact import Artifact, Request, Store

T = TypeVar("T")


@dataclass(frozen=True)
class StageCache:
    """The store of stage results; ``messages`` tell whether a result was already stored or newly made."""

    store: Store
    messages: Messages

    def stored(self, request: Request, compute: Callable[[], T], write: Callable[[T, Path], None]) -> Artifact:
        """The artifact for ``request``: the one in the store, or what ``compute`` returns, written by ``write``.

        If torchrun started several processes, only the first writes. The others help to compute, and end here with
        SystemExit.
        """
        if found := self.store.find(request):
            _end_helpers()
            self.messages.say(f"{request.kind:<10} {found.name}  already there")
            return found
        with self.messages.doing(f"making the {request.kind}"):
            value = compute()
        _end_helpers()
        with self.messages.doing(f"writing the {request.kind}"):
            made = self.store.put(request, lambda folder: write(value, folder))
        self.messages.say(f"{request.kind:<10} {made.name}  made")
        return made

    def adopted(self, artifact: Artifact, reference: str) -> Artifact:
        """``artifact``, which ``reference`` names, in this store too: the lineage of what is made of it ends there."""
        adopted = self.store.adopt(artifact)
        self.messages.say(f"{adopted.kind:<10} {adopted.name}  is {reference}")
        return adopted

    @contextlib.contextmanager
    def unfinished(self, request: Request) -> Iterator[Path]:
        """The folder for unfinished work on ``request``; it is removed when the body ends without an error.

        Another process that works on the same request is waited for.
        """
        folder = self.store.root / "unfinished" / request.key[:12]
        waits = f"{request.kind:<10} another process makes the same one: waiting for it"
        lock = alone(folder.with_suffix(".lock"), lambda: self.messages.say(waits))
        try:
            with lock if is_first_process() else contextlib.nullcontext():
                yield folder
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            with contextlib.suppress(OSError):
                folder.parent.rmdir()


def _end_helpers() -> None:
    """Ends every process that torchrun started, except the first."""
    if not is_first_process():
        raise SystemExit(0)
