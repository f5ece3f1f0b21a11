"""The store as a cache of stages: a repeated request is not computed again."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from deploytool.base.errors import ArtifactError
from deploytool.base.machine import is_first_process, launched_processes
from deploytool.base.messages import Messages
from deploytool.store.artifact import Artifact, Request, Store

T = TypeVar("T")


@dataclass(frozen=True)
class StageCache:
    """The store of stage results; ``messages`` tell whether a result was already stored or newly made."""

    store: Store
    messages: Messages

    def stored(
        self,
        request: Request,
        compute: Callable[[], T],
        write: Callable[[T, Path], None],
        apart: Mapping[str, Any] | None = None,
    ) -> Artifact:
        """The artifact for ``request``: the one in the store, or what ``compute`` returns, written by ``write``.

        What is made states what is ``apart`` from its digest too. If another process is making it, this one waits and
        takes it. If torchrun started several processes, only the first writes. The others help to compute, and end here
        with SystemExit.
        """
        with self.turn(request) as found:
            return found or self._made(request, compute, write, lambda: apart)

    def continued(
        self,
        request: Request,
        compute: Callable[[Path], T],
        write: Callable[[T, Path], None],
        apart: Callable[[], Mapping[str, Any] | None] = lambda: None,
    ) -> Artifact:
        """What `stored` returns. ``compute(folder)`` keeps unfinished work in ``folder``, which goes at the end."""
        folder = self.store.unfinished(request)
        with self.turn(request) as found:
            made = found or self._made(request, lambda: compute(folder), write, apart)
            shutil.rmtree(folder, ignore_errors=True)
            return made

    @contextlib.contextmanager
    def turn(self, request: Request) -> Iterator[Artifact | None]:
        """The stored artifact for ``request``; or None in a context that only this process is in, to make it.

        Raises ArtifactError when the store cannot be written.
        """
        if is_first_process():
            self.store.remove_leftovers()
        if found := self.store.find(request):
            yield self._there(found)
        elif not is_first_process():
            yield None
        else:
            with self.store.alone(request, lambda who: self._waits(request, who)):
                found = self.store.find(request)
                yield self._there(found) if found else None

    def _waits(self, request: Request, who: str) -> None:
        """Says who is waited for. Processes that torchrun started cannot wait: the others are on their way already."""
        if launched_processes() > 1:
            found = f"{who} is making the same one"
            raise ArtifactError(str(self.store.root), found, "one training of a recipe at a time", "Run it again then.")
        self.messages.say(f"{request.kind:<10} waits for {who}, which is making the same one")

    def _made(
        self,
        request: Request,
        compute: Callable[[], T],
        write: Callable[[T, Path], None],
        apart: Callable[[], Mapping[str, Any] | None],
    ) -> Artifact:
        with self.messages.doing(f"making the {request.kind}"):
            value = compute()
        _end_helpers()
        with self.messages.doing(f"writing the {request.kind}"):
            made = self.store.put(request, lambda folder: write(value, folder), apart())
        self.messages.say(f"{request.kind:<10} {made.name}  made")
        if (ahead := self.store.from_future(request.kind)) is not None:
            stays = f"{request.kind}@latest stays this one until then"
            self.messages.say(f"{ahead.name} was made later than now: the clock was set back, and {stays}.")
        return made

    def _there(self, found: Artifact) -> Artifact:
        _end_helpers()
        self.messages.say(f"{found.kind:<10} {found.name}  already there")
        return found

    def adopted(self, artifact: Artifact, reference: str) -> Artifact:
        """``artifact``, which ``reference`` names, in this store too: the lineage of what is made of it ends there."""
        adopted = self.store.adopt(artifact)
        self.messages.say(f"{adopted.kind:<10} {adopted.name}  is {reference}")
        return adopted


def _end_helpers() -> None:
    """Ends every process that torchrun started, except the first."""
    if not is_first_process():
        raise SystemExit(0)
