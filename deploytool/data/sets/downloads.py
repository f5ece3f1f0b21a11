"""Data sets that can be downloaded, if a person asks for it: through tonic, or from the addresses of their makers.

Whatever goes wrong, no half-written file is left behind.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import md5
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from deploytool.base.errors import InputError
from deploytool.base.locks import alone
from deploytool.base.progress import Tick

Fetch: TypeAlias = Callable[[Path, Tick], None]
"""``fetch(folder, tick)`` puts a data set into a folder. Raises InputError."""

CHUNK: Final = 2**20
"""Bytes read at once."""
TIMEOUT_S: Final = 30
LOCK: Final = ".deploytool-download.lock"
BACK: Final = "Try again with a connection, or name the folder of the data with data.root (--root)."


@dataclass(frozen=True)
class Download:
    """A download of ``size``, ``by`` way of somebody, into ``folder``, relative to the working folder, by default."""

    size: str
    by: str
    fetch: Fetch
    folder: str = "data"


def default_folder(name: str) -> Path | None:
    """Where the set ``name`` is looked for if no root is given; None for a set that cannot be downloaded."""
    return Path(DOWNLOADS[name].folder) if name in DOWNLOADS else None


def how_to_get(name: str) -> str:
    """The sentence that says how to get the set ``name``."""
    if name not in DOWNLOADS:
        return "Name its folder with data.root (--root)."
    found = DOWNLOADS[name]
    return (
        f"Name its folder with data.root (--root), or get it: --download, or download = true in [data], fetches "
        f"{found.size} {found.by} into data.root, by default ./{found.folder}."
    )


def download(name: str, folder: Path, missing: Callable[[], bool], tick: Tick) -> None:
    """Downloads the set ``name`` into ``folder``; what is left there after a failure is whole files.

    Another process that downloads into ``folder`` is waited for: the set may not be ``missing`` then.
    Raises InputError with the reason in one sentence.
    """
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with _in_a_sentence(name), alone(folder / LOCK, lambda who: tick(0, 0, f"waiting for {who}")):
            if missing():
                DOWNLOADS[name].fetch(folder, tick)
    finally:
        for path in new:
            with contextlib.suppress(OSError):
                path.rmdir()


def through_tonic(dataset: str, parts: tuple[Mapping[str, Any], ...], folder: Path, _tick: Tick) -> None:
    """Lets tonic download and unpack its ``dataset``, once for each of ``parts``; it shows progress on stderr."""
    try:
        import tonic
    except ImportError:
        need, todo = "it, because it downloads this set", "Install deploytool[datasets]."
        raise InputError(f"--download {dataset}", "tonic is not installed", need, todo) from None
    with contextlib.redirect_stdout(sys.stderr):
        for part in parts:
            with _nothing_left(folder / dataset), _in_a_sentence(dataset):
                getattr(tonic.datasets, dataset)(save_to=str(folder), **part)


def from_address(address: str, files: Mapping[str, str], folder: Path, tick: Tick) -> None:
    """Downloads ``files`` {name: MD5} from ``address`` into ``folder``, and unpacks archives."""
    for name, checksum in files.items():
        place = folder / f"{name}.part"
        with _nothing_left(place), _in_a_sentence(f"{address}{name}"):
            shutil.rmtree(place, ignore_errors=True)  # of a process that was killed
            place.mkdir(parents=True)
            _fetch(f"{address}{name}", place / name, checksum, tick)
            if name.endswith(".tar.gz"):
                import tarfile

                with tarfile.open(place / name) as archive:
                    archive.extractall(place, filter="data")
                (place / name).unlink()
            for path in [*place.iterdir()]:
                path.replace(folder / path.name)
            place.rmdir()


def _fetch(address: str, path: Path, checksum: str, tick: Tick) -> None:
    """Writes what ``address`` sends to ``path``. Raises ValueError if its MD5 is not ``checksum``."""
    import urllib.request

    received = md5(usedforsecurity=False)
    with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer, path.open("wb") as file:
        total, done = int(answer.headers.get("Content-Length") or 0), 0
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            received.update(chunk)
            done += len(chunk)
            tick(done // 1000, max(total, done) // 1000, path.name)
    if received.hexdigest() != checksum:
        raise ValueError(f"received {done:,} bytes that are not those of the file")


@contextlib.contextmanager
def _nothing_left(folder: Path) -> Iterator[None]:
    """Takes away what the body makes in ``folder``, and ``folder`` where it is new, if it fails or is interrupted."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    before = {*folder.rglob("*")}
    try:
        yield
    except BaseException:
        made = sorted({*folder.rglob("*")} - before, reverse=True)
        for path in (*made, *missing):
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise


@contextlib.contextmanager
def _in_a_sentence(what: str) -> Iterator[None]:
    """Turns what a download raises into InputError."""
    import tarfile
    import zipfile

    try:
        yield
    except (OSError, RuntimeError, ValueError, ImportError, zipfile.BadZipFile, tarfile.TarError) as error:
        reason = str(getattr(error, "reason", "") or error) or type(error).__name__
        raise InputError(f"--download {what}", f"failed ({reason.splitlines()[0].rstrip(':')})", "", BACK) from None


_BOTH: Final = ({"train": True}, {"train": False})
_CIFAR: Final = "https://www.cs.toronto.edu/~kriz/"
_MNIST: Final = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
_FASHION: Final = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}


def _from(address: str, files: Mapping[str, str], size: str, folder: str = "data") -> Download:
    place = address if len(files) > 1 else f"{address}{next(iter(files))}"
    return Download(size, f"from {place}", partial(from_address, address, files), folder)


def _tonic(dataset: str, parts: tuple[Mapping[str, Any], ...], size: str) -> Download:
    return Download(size, f"through tonic.datasets.{dataset}", partial(through_tonic, dataset, parts))


DOWNLOADS: Final[Mapping[str, Download]] = MappingProxyType(
    {
        "nmnist": _tonic("NMNIST", _BOTH, "1.2 GB"),
        "nmnist-saccades": _tonic("NMNIST", _BOTH, "1.2 GB"),
        "dvsgesture": _tonic("DVSGesture", _BOTH, "3 GB"),
        "cifar10dvs": _tonic("CIFAR10DVS", ({},), "8 GB"),
        "ncaltech101": _tonic("NCALTECH101", ({},), "4 GB"),
        "mnist": _from("https://ossci-datasets.s3.amazonaws.com/mnist/", _MNIST, "12 MB", "data/mnist"),
        "fashionmnist": _from(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            _FASHION,
            "31 MB",
            "data/fashionmnist",
        ),
        "cifar10": _from(_CIFAR, {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"}, "170 MB"),
        "cifar100": _from(_CIFAR, {"cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8"}, "169 MB"),
    }
)
"""{name of a set: how it is downloaded}."""
