"""The command verify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploytool.base.errors import UsageError
from deploytool.cli.command import command
from deploytool.cli.options import CommonOptions

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation


@command("deploytool verify artifacts")
def verify(
    invocation: Invocation,
    store_folder: Annotated[
        Path | None, typer.Argument(metavar="STORE", help="Folder of the artifacts; by default that of --store.")
    ] = None,
) -> int:
    """Check every byte of a store, name what is damaged, and what was made from it. Changes nothing."""
    from deploytool.workflow import verify as verifying

    stated = invocation.cache.store.root
    if store_folder is not None and stated not in (CommonOptions.store, store_folder):
        raise UsageError("STORE, --store", f"found {store_folder} and {stated}", "one of the two")
    found = verifying.verify(store_folder or stated, invocation.cache.messages)
    return invocation.show_verified(found)
