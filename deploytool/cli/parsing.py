"""What the values of options mean, where their text or their combination has to be understood first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deploytool.base.errors import UsageError

if TYPE_CHECKING:
    from deploytool.cli.options import RunOptions
    from deploytool.ir.events import Bins
    from deploytool.run.jobs.workers import Workers


def overrides(set_: Sequence[str] | None, download: bool) -> list[str]:
    """The changes of a recipe that --set and --download ask for."""
    return [*(set_ or ()), *(["data.download=true"] if download else [])]


def parse_workers(options: RunOptions) -> Workers | None:
    """The Dask workers of ``options``, None for this process. Raises UsageError for options that do not go together."""
    from deploytool.run.jobs.workers import Tls, Workers

    files = (options.tls_ca, options.tls_cert, options.tls_key)
    given = [path for path in files if path is not None]
    if given and (options.scheduler is None or len(given) < len(files)):
        need = "all three, with --scheduler tls://HOST:PORT"
        raise UsageError("--tls-ca, --tls-cert, --tls-key", f"{len(given)} of three given", need)
    if options.scheduler is None:
        return None
    return Workers(options.scheduler, Tls(given[0], given[1], given[2]) if given else None)


def parse_bins(text: str) -> Bins:
    """``text`` as what time steps have in common. Raises UsageError for any other text."""
    from deploytool.ir.events import BINS

    for known in BINS:
        if text == known:
            return known
    raise UsageError("--bins", f"found {text!r}", " or ".join(BINS))
