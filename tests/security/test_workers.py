"""Local workers of Dask, and schedulers over TLS: whoever has no certificate of theirs gets nowhere."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from contract import stream, two_neurons

from deploytool.base.errors import TargetError
from deploytool.base.progress import no_progress
from deploytool.run.jobs import dask
from deploytool.run.jobs.dask import NO_DASHBOARD, on_workers
from deploytool.run.jobs.job import Job
from deploytool.run.jobs.resume import run_job
from deploytool.run.jobs.workers import Tls, Workers

distributed = pytest.importorskip("distributed")
pytest.importorskip("cryptography")
psutil = pytest.importorskip("psutil")

ANSWER_S: Final = 5
PAGES: Final = ("/", "/status", "/health", "/metrics", "/info/main/workers.html", "/json/counts.json")
"""Pages of Dask. What remains on its ports for HTTP is a list of pages, which is empty."""


def ran(workers: Workers, folder: Path) -> list[list[int]]:
    perform = on_workers(workers, 1, no_progress, connect_s=5)
    found = run_job(Job("emulator"), two_neurons(), [stream([0] * 5)], folder, perform)
    counts: list[list[int]] = found.output_counts.tolist()
    return counts


def answer(address: tuple[str, int], context: ssl.SSLContext | None = None, page: str = "/") -> bytes | str:
    """What a server at ``address`` sends to a client that asks for ``page``, in TLS if there is a ``context``."""
    try:
        plain = socket.create_connection(address, ANSWER_S)
        with plain if context is None else context.wrap_socket(plain) as connection:
            connection.sendall(f"GET {page} HTTP/1.0\r\n\r\n".encode())
            return connection.recv(100)
    except (ssl.SSLError, ConnectionError, TimeoutError) as error:
        return type(error).__name__


def test_every_port_of_local_workers_refuses_whoever_has_no_certificate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    perform, open_before = dask._perform, listening()
    asked: dict[tuple[str, int], list[bytes | str]] = {}

    def watched(client: Any, *rest: Any) -> Any:
        anybody = ssl.create_default_context()
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        for address in listening() - open_before:
            asked[address] = [answer(address, anybody), *(answer(address, page=page) for page in PAGES)]
        for process in psutil.Process().children(recursive=True):
            assert "PRIVATE KEY" not in f"{process.cmdline()} {process.environ()}"
        return perform(client, *rest)

    monkeypatch.setattr(dask, "_perform", watched)
    assert ran(Workers("local:1"), tmp_path) == [[3, 0]]
    assert len(asked) == 5, "scheduler, worker and nanny; the first two have a port for HTTP as well"
    assert {host for host, _ in asked} == {"127.0.0.1"}
    assert sum(b"HTTP" in bytes(pages[0]) for _, *pages in asked.values() if isinstance(pages[0], bytes)) == 2
    for encrypted, *pages in asked.values():
        assert isinstance(encrypted, str), "the handshake fails without a certificate"
        for sent in pages:
            refused = sent in (b"", "ConnectionResetError") or sent[:1] == b"\x15"
            assert refused or (isinstance(sent, bytes) and b" 404 " in sent[:20])


def listening() -> set[tuple[str, int]]:
    """The addresses where this process and those that it started listen."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    connections = [each for process in processes for each in process.net_connections("inet")]
    return {(each.laddr.ip, each.laddr.port) for each in connections if each.status == psutil.CONN_LISTEN}


def certified(folder: Path, authority: str, *names: str) -> None:
    """Makes an authority and certificates by it: AUTHORITY.pem, and NAME.pem and NAME-key.pem of each of ``names``."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca-key.pem", "-out", f"{authority}.pem", "-days", "2", "-subj", "/CN=ca")
    for name in names:
        openssl("req", *key, "-keyout", f"{name}-key.pem", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        by = ("-CA", f"{authority}.pem", "-CAkey", "ca-key.pem", "-CAcreateserial")
        openssl("x509", "-req", "-in", f"{name}.csr", *by, "-out", f"{name}.pem", "-days", "2")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler on this machine whose certificates a self-made authority signed."""
    try:
        certified(tmp_path, "ours", "scheduler", "client")
        certified(tmp_path, "theirs", "stranger")
    except FileNotFoundError:
        pytest.skip("no openssl")
    paths = {
        f"tls_{role}_{part}": str(tmp_path / f"scheduler{end}.pem")
        for role in ("scheduler", "worker", "client")
        for part, end in (("cert", ""), ("key", "-key"))
    }
    security = distributed.Security(tls_ca_file=str(tmp_path / "ours.pem"), require_encryption=True, **paths)
    options: dict[str, Any] = {"n_workers": 1, "threads_per_worker": 1, "silence_logs": 50, **NO_DASHBOARD}
    with distributed.LocalCluster(security=security, protocol="tls", **options) as made:
        yield made.scheduler_address


def test_a_certificate_of_the_authority_is_needed(cluster: str, tmp_path: Path) -> None:
    ours = Tls(tmp_path / "ours.pem", tmp_path / "client.pem", tmp_path / "client-key.pem")
    assert ran(Workers(cluster, ours), tmp_path / "parts") == [[3, 0]]
    for authority, name in (("ours", "stranger"), ("theirs", "client"), ("theirs", "stranger")):
        other = Tls(tmp_path / f"{authority}.pem", tmp_path / f"{name}.pem", tmp_path / f"{name}-key.pem")
        with pytest.raises(TargetError, match="need a Dask scheduler that responds"):
            ran(Workers(cluster, other), tmp_path / "others")


def test_a_scheduler_without_certificates_is_announced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TargetError, match="need a Dask scheduler that responds"):
        ran(Workers("tcp://127.0.0.1:1"), tmp_path)
    said = (
        "tcp://127.0.0.1:1: whoever reaches this scheduler can run code here and on its workers; tls:// with --tls-ca"
    )
    assert capsys.readouterr().err.startswith(said)
