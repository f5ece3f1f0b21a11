"""Where a script's results are kept: in a store that it names, or in a temporary one that ends with the process."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploytool.base.files import new_temporary_folder
from deploytool.base.messages import LOG, Messages
from deploytool.base.printable import printable
from deploytool.store.artifact import Store
from deploytool.store.cache import StageCache


@dataclass(frozen=True)
class Logged(Messages):
    """Messages to a script: lines go to the log "deploytool", progress of long work to stderr."""

    def say(self, line: str) -> None:
        """Logs ``line`` as information."""
        LOG.info("%s", printable(line))


MESSAGES: Final = Logged()


def cache_in(store: str | Path | None) -> StageCache:
    """The cache of the stages in the folder ``store``, or in the temporary store of this process."""
    return StageCache(Store(_temporary() if store is None else Path(store), MESSAGES), MESSAGES)


@functools.cache
def _temporary() -> Path:
    """A folder that is removed when this process ends, and not when one ends that it forked.

    It stays locked until then. If this process is killed, the next one that makes a temporary folder removes it.
    """
    (_, folder), owner = new_temporary_folder(), os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder
