"""The Dask workers that a run is spread over, and how its traffic with them is secured.

Dask sends objects that run code when they are read: whoever reaches a scheduler can run code on it, on its workers and
on its clients. Local workers therefore talk over TLS with certificates made for one run, which only this process and
its workers hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deploytool.base.errors import UsageError
from deploytool.base.files import is_file

if TYPE_CHECKING:
    from distributed.security import Security

NEED: Final = "local, local:N for N processes, or the address of a scheduler such as tls://host:8786"

OPEN: Final = "whoever reaches this scheduler can run code here and on its workers; tls:// with --tls-ca prevents that"
"""What is said about a scheduler over tcp."""


@dataclass(frozen=True)
class Tls:
    """Files in PEM format: the certificate of the authority, and the certificate and the key of this client."""

    ca: Path
    certificate: Path
    key: Path

    def __post_init__(self) -> None:
        for option, path in (("--tls-ca", self.ca), ("--tls-cert", self.certificate), ("--tls-key", self.key)):
            if not is_file(path):
                raise UsageError(f"{option} {path}", "no such file", "a file in PEM format")


@dataclass(frozen=True)
class Workers:
    """The workers of ``scheduler``: "local[:N]" for processes of this machine, or an address, with ``tls`` for tls://.

    Raises UsageError for another name, and for TLS files without a tls:// address or the other way round.
    """

    scheduler: str
    tls: Tls | None = None

    def __post_init__(self) -> None:
        kind, _, number = self.scheduler.partition(":")
        local = kind == "local" and (not number or (number.isdecimal() and len(number) < 5 and int(number)))
        if not local and not (kind in ("tcp", "tls") and number.startswith("//") and len(number) > len("//")):
            raise UsageError("--scheduler", f"found {self.scheduler!r}", NEED)
        if kind == "tls" and self.tls is None:
            raise UsageError(f"--scheduler {self.scheduler}", "no certificates", "--tls-ca, --tls-cert and --tls-key")
        if kind != "tls" and self.tls is not None:
            raise UsageError("--tls-ca, --tls-cert, --tls-key", f"given with {self.scheduler}", "a scheduler at tls://")

    @property
    def local(self) -> bool:
        """Whether the workers are processes that this one starts."""
        return self.scheduler.startswith("local")

    @property
    def open(self) -> bool:
        """Whether the scheduler can be reached without a certificate."""
        return self.scheduler.startswith("tcp:")

    def processes(self, default: int) -> int:
        """The number of local processes; ``default`` if none is given."""
        return int(self.scheduler.partition(":")[2] or default)

    def security(self) -> Security | None:
        """The certificates for the connection; those of local workers are made here and live in memory."""
        from distributed.security import Security

        if self.local:
            return Security.temporary()
        if self.tls is None:
            return None
        return Security(
            tls_ca_file=str(self.tls.ca),
            tls_client_cert=str(self.tls.certificate),
            tls_client_key=str(self.tls.key),
            require_encryption=True,
        )
