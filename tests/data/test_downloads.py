"""Downloads: only when asked for, through a stand-in of tonic or a server on this machine, and nothing is left."""

from __future__ import annotations

import gzip
import io
import os
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deploytool.base.errors import InputError, RecipeError
from deploytool.base.progress import no_progress
from deploytool.data.sets import downloads
from deploytool.data.sets.downloads import DOWNLOADS, from_address
from deploytool.data.sets.sources import DATASETS
from deploytool.data.sets.table import obtain
from deploytool.recipe import DataSection


def write_nmnist(root: Path, train: bool) -> None:
    """Two samples of every class of one part, as tonic unpacks them."""
    for label in range(10):
        folder = root / "NMNIST" / ("Train" if train else "Test") / str(label)
        folder.mkdir(parents=True)
        for index in range(2):
            (folder / f"{index:05d}.bin").write_bytes(bytes([label, index, 0x80, 1, 0, label, index, 0, 2, 0]))


class Tonic:
    """tonic.datasets.NMNIST, which downloads when it is made; ``fails`` says in which part."""

    def __init__(self, fails: tuple[bool, ...] = (), error: BaseException | None = None) -> None:
        self.asked: list[bool] = []
        self.fails, self.error = fails, error or OSError("no network")

    def __call__(self, save_to: str, train: bool) -> None:
        print("noise that belongs on stderr")
        self.asked.append(train)
        folder = Path(save_to) / "NMNIST"
        folder.mkdir(parents=True, exist_ok=True)
        if train in self.fails:
            (folder / ("train.zip" if train else "test.zip")).write_bytes(b"half")
            raise self.error
        write_nmnist(Path(save_to), train)


def install(monkeypatch: pytest.MonkeyPatch, tonic: Tonic) -> Tonic:
    monkeypatch.setitem(sys.modules, "tonic", SimpleNamespace(datasets=SimpleNamespace(NMNIST=tonic)))
    return tonic


def test_nothing_is_downloaded_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tonic = install(monkeypatch, Tonic())
    started = time.monotonic()
    for name in DOWNLOADS:
        with pytest.raises(RecipeError, match=r"missing for the set [a-z0-9]+, and no [a-z0-9]+ in ./data"):
            DATASETS[name].open(DataSection(set=name)).parts(("test",))
        assert obtain(DataSection(set=name), no_progress) is False
    assert time.monotonic() - started < 1
    assert tonic.asked == []
    assert list(tmp_path.iterdir()) == []


def test_tonic_downloads_both_parts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tonic = install(monkeypatch, Tonic())
    spec = DataSection(set="nmnist", download=True)
    assert obtain(spec, no_progress) is True
    assert tonic.asked == [True, False]
    assert len(DATASETS["nmnist"].open(DataSection(set="nmnist")).parts(("test",))["test"]) == 20
    assert obtain(spec, no_progress) is False
    assert tonic.asked == [True, False]
    assert obtain(DataSection(set="nmnist", download=True, root=str(tmp_path / "other")), no_progress) is True
    assert (tmp_path / "other" / "NMNIST" / "Test").is_dir()
    captured = capsys.readouterr()
    assert (captured.out, captured.err[:5]) == ("", "noise")


@pytest.mark.parametrize("error", [OSError("no network"), RuntimeError("File not found or corrupted."), ValueError()])
def test_a_download_that_fails_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.chdir(tmp_path)
    install(monkeypatch, Tonic(fails=(True,), error=error))
    with pytest.raises(InputError, match=r"^--download NMNIST: failed \(.+\)\. Try again with a connection") as caught:
        obtain(DataSection(set="nmnist", download=True), no_progress)
    assert caught.value.exit_code == 5
    assert len(caught.value.problems) == 1
    assert list(tmp_path.iterdir()) == []


def test_whole_parts_and_the_files_of_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.txt").touch()
    monkeypatch.chdir(tmp_path)
    install(monkeypatch, Tonic(fails=(False,), error=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        obtain(DataSection(set="nmnist", download=True), no_progress)
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["NMNIST", "mine.txt"]
    assert [path.name for path in (tmp_path / "data" / "NMNIST").iterdir()] == ["Train"]


def test_two_processes_download_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tonic, notes = Tonic(), list[str]()
    begun, waits = threading.Event(), threading.Event()

    class Slow(Tonic):
        def __call__(self, save_to: str, train: bool) -> None:
            begun.set()
            assert waits.wait(60)
            tonic(save_to, train)

    def told(_done: float, _total: int, note: str) -> None:
        notes.append(note)
        waits.set()

    install(monkeypatch, Slow())
    spec = DataSection(set="nmnist", download=True)
    first = threading.Thread(target=lambda: obtain(spec, no_progress))
    first.start()
    assert begun.wait(60)
    assert obtain(spec, told) is True
    first.join()
    assert notes == [f"waiting for process {os.getpid()}"]
    assert tonic.asked == [True, False]
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["NMNIST"]


def test_without_tonic_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "tonic", None)
    with pytest.raises(InputError, match=r"tonic is not installed; .*Install deploytool\[datasets\]"):
        obtain(DataSection(set="nmnist", download=True), no_progress)
    with pytest.raises(RecipeError, match=r"data.download: found true; need none for the set digits; one of nmnist, "):
        obtain(DataSection(set="digits", download=True), no_progress)


def test_what_tonic_is_asked_for_exists() -> None:
    tonic = pytest.importorskip("tonic")
    for download in DOWNLOADS.values():
        assert isinstance(download.fetch, partial)
        if download.fetch.func is downloads.through_tonic:
            assert hasattr(tonic.datasets, download.fetch.args[0])


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """(the address of a server, what it serves {name: content}); of a name with "cut" it sends only a half."""
    served: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = served.get(self.path.removeprefix("/"))
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write((content or b"")[: len(content or b"") // (2 if "cut" in self.path else 1)])

        def log_message(self, *_: Any) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.server_address[1]}/", served
    running.shutdown()
    thread.join()
    running.server_close()


def test_files_and_archives_from_an_address(tmp_path: Path, server: tuple[str, dict[str, bytes]]) -> None:
    address, served = server
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("bins/a.bin")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    served |= {"labels.gz": gzip.compress(b"x" * 5_000_000), "bins.tar.gz": packed.getvalue()}
    ticks: list[tuple[int, int, str]] = []
    files = {name: md5(content).hexdigest() for name, content in served.items()}
    (tmp_path / "new" / "labels.gz.part").mkdir(parents=True)  # of a process that was killed
    (tmp_path / "new" / "labels.gz.part" / "labels.gz").write_bytes(b"half")
    from_address(address, files, tmp_path / "new", lambda *tick: ticks.append(tick))
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")) == [
        "new/bins/a.bin",
        "new/labels.gz",
    ]
    assert (tmp_path / "new" / "bins" / "a.bin").read_bytes() == b"abc"
    assert ticks[0][2] == "labels.gz"
    assert all(0 <= done <= total for done, total, _ in ticks)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.gz", "HTTP Error 404|Not Found"),
        ("cut.gz", "received 50 bytes that are not those|IncompleteRead"),
        ("other.gz", "received 100 bytes that are not those of the file"),
        ("broken.tar.gz", "file could not be opened"),
    ],
)
def test_what_an_address_does_not_send_leaves_nothing(
    tmp_path: Path, server: tuple[str, dict[str, bytes]], name: str, reason: str
) -> None:
    address, served = server
    served |= {"cut.gz": bytes(100), "other.gz": bytes(100), "broken.tar.gz": bytes(100)}
    checksum = md5(bytes(100) if "other" not in name else b"").hexdigest()
    with pytest.raises(InputError, match=rf"--download {address}{name}: failed \(({reason}).*\)\. Try again"):
        from_address(address, {name: checksum}, tmp_path / "data" / "mnist", no_progress)
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_from_an_address_is_found_where_it_was_put(
    tmp_path: Path, server: tuple[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    address, served = server
    files = {}
    for part, count in (("train", 20), ("t10k", 10)):
        for what, array in (
            ("images-idx3", np.zeros((count, 28, 28), np.uint8)),
            ("labels-idx1", np.arange(count) % 10),
        ):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(length.to_bytes(4) for length in array.shape)
            name = f"{part}-{what}-ubyte.gz"
            served[name] = gzip.compress(header + array.astype(np.uint8).tobytes())
            files[name] = md5(served[name]).hexdigest()
    there = replace(DOWNLOADS["mnist"], fetch=partial(from_address, address, files))
    monkeypatch.setattr(downloads, "DOWNLOADS", {**DOWNLOADS, "mnist": there})
    monkeypatch.chdir(tmp_path)
    assert obtain(DataSection(set="mnist", download=True), no_progress) is True
    assert sorted(path.name for path in (tmp_path / "data" / "mnist").iterdir()) == sorted(files)
    assert len(DATASETS["mnist"].open(DataSection(set="mnist")).parts(("train",))["train"]) == 20


def test_a_download_is_no_part_of_what_is_asked() -> None:
    asked, plain = DataSection(set="nmnist", download=True), DataSection(set="nmnist")
    assert asked.model_dump() == plain.model_dump()
    assert "download" not in asked.model_dump()
