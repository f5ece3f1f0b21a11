"""Workers and their traffic: what is refused, and that nobody without a certificate reaches a scheduler."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contract import stream, two_neurons

from deploytool.base.errors import TargetError, UsageError
from deploytool.base.progress import no_progress
from deploytool.run.jobs import dask
from deploytool.run.jobs.dask import NO_DASHBOARD, on_workers
from deploytool.run.jobs.job import Job
from deploytool.run.jobs.resume import run_job
from deploytool.run.jobs.workers import Tls, Workers


@pytest.mark.parametrize(
    "name", ["", "local:0", "local:x", "local:99999", "slurm", "tcp:", "tcp://", "tls://", "http://host"]
)
def test_other_schedulers_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="need local, local:N for N processes"):
        Workers(name)


def test_the_number_of_local_processes() -> None:
    assert [Workers(name).processes(8) for name in ("local", "local:3")] == [8, 3]
    assert [Workers(name).open for name in ("local", "tcp://host:1")] == [False, True]


def test_certificates_and_tls_go_together(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no certificates; need --tls-ca, --tls-cert and --tls-key"):
        Workers("tls://host:8786")
    (tmp_path / "ca").touch()
    with pytest.raises(UsageError, match=r"--tls-cert .*: no such file; need a file in PEM format"):
        Tls(tmp_path / "ca", tmp_path / "none", tmp_path / "none")
    for name in ("cert", "key"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match="given with tcp://host:1; need a scheduler at tls://"):
        Workers("tcp://host:1", Tls(tmp_path / "ca", tmp_path / "cert", tmp_path / "key"))


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[str, Tls]]:
    """The address of a scheduler over TLS, and the files that its clients need."""
    distributed = pytest.importorskip("distributed")
    pytest.importorskip("cryptography")
    security = distributed.Security.temporary()
    paths = {"ca": security.tls_ca_file, "certificate": security.tls_client_cert, "key": security.tls_client_key}
    for name, text in paths.items():
        (tmp_path / name).write_text(text)
    found = Tls(*(tmp_path / name for name in paths))
    options: dict[str, Any] = {"n_workers": 1, "threads_per_worker": 1, "silence_logs": 50, **NO_DASHBOARD}
    with distributed.LocalCluster(security=security, protocol="tls", **options) as cluster:
        yield cluster.scheduler_address, found


def ran(workers: Workers, folder: Path) -> list[list[int]]:
    perform = on_workers(workers, 1, no_progress, connect_s=3)
    found = run_job(Job("emulator"), two_neurons(), [stream([0] * 5)], folder, perform)
    counts: list[list[int]] = found.output_counts.tolist()
    return counts


def test_a_run_over_tls(secured: tuple[str, Tls], tmp_path: Path) -> None:
    address, files = secured
    assert ran(Workers(address, files), tmp_path / "parts") == [[3, 0]]
    files.key.write_text("no key")
    with pytest.raises(TargetError, match="need a Dask scheduler that responds"):
        ran(Workers(address, files), tmp_path / "others")


def test_nobody_without_a_certificate_reaches_local_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    addresses: list[str] = []
    perform = dask._perform

    def watched(client: Any, *rest: Any) -> Any:
        addresses.append(client.scheduler.address)
        with pytest.raises((OSError, TypeError)):
            distributed.Client(re.sub("^tls", "tcp", addresses[0]), timeout=2)
        return perform(client, *rest)

    monkeypatch.setattr(dask, "_perform", watched)
    assert ran(Workers("local:1"), tmp_path) == [[3, 0]]
    assert addresses[0].startswith("tls://127.0.0.1:")
