"""Functions compiled by numba, kept on disk for the next process.

numba keeps compiled code by the file of a function, and notices only changes of that file: code that another module
contributed stays as it was, and a type that another module no longer has is an AttributeError. Here the folder of what
is kept has a name with the digest of the module and of every module of the package that it imports, directly or not.
Folders with other digests of the module are removed. What is kept has a checksum, as damaged code ends the process.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# numba has no types of its own.

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import llvmlite
import numba
import numpy
from numba import njit
from numba.core import config, environment
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.runtime import rtsys
from numba.core.serialize import dumps, loads
from numba.misc.appdirs import AppDirs

from deploytool.base.errors import ArtifactError
from deploytool.base.files import write_file

PACKAGE: Final = Path(__file__).parent.parent

_IMPORT: Final = re.compile(
    r"^\s*(?:from|import) +deploytool\.([\w.]+)(?: +import +(\(.*?\)|.*?$))?", re.DOTALL | re.MULTILINE
)

_BUILT_IN: Final = ("numba.", "deploytool.")
"""The modules whose functions never look up a global name while they run."""

CHECKSUM_BYTES: Final = sha256().digest_size

_COMPILED: Final[list[Any]] = []
_MADE: Final[list[str]] = []


def compiled(function: Any, **options: Any) -> Any:
    """``function`` compiled by numba with ``options``, without the GIL, and kept on disk if a folder is writable."""
    loop = njit(nogil=True, **options)(function)
    if _folder(function.__code__.co_filename) is not None:
        loop._cache = _Kept(function)
    _COMPILED.append(loop)
    return loop


def kept(file: str, name: str, make: Callable[[], bytes]) -> bytes:
    """The code that is kept as ``name`` for the module in ``file``, or else what ``make`` compiles, which is kept."""
    folder = _folder(file)
    if folder is not None and (found := _read(folder / name)) is not None:
        return found
    code = make()
    _MADE.append(name)
    if folder is not None:
        _write(folder / name, code)
    return code


def _read(path: Path) -> bytes | None:
    """What `_write` wrote to ``path``; None if it is not there, or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    checksum, kept = content[:CHECKSUM_BYTES], content[CHECKSUM_BYTES:]
    return kept if sha256(kept).digest() == checksum else None


def _write(path: Path, code: bytes) -> None:
    """Writes ``code`` to ``path`` with its checksum, if there is room: it is compiled, kept or not."""
    with suppress(OSError, ArtifactError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, sha256(code).digest() + code)


def compilations() -> int:
    """The number of functions that this process compiled instead of loading them from disk."""
    return len(_MADE) + sum(sum(function.stats.cache_misses.values()) for function in _COMPILED)


@cache
def sources(path: Path) -> frozenset[Path]:
    """The file of the package at ``path``, and those that it imports, directly or not."""
    found, waiting = {path}, [path]
    while waiting:
        new = _imported(waiting.pop()) - found
        found |= new
        waiting += new
    return frozenset(found)


@cache
def _imported(path: Path) -> frozenset[Path]:
    """The files of the package that the one at ``path`` imports."""
    found = set()
    for module, names in _IMPORT.findall(path.read_text(encoding="utf-8")):
        base = PACKAGE / module.replace(".", "/")
        candidates = [base, *(base / name for name in re.findall(r"\w+", names))]
        files = {file for each in candidates for file in (each.with_suffix(".py"), each / "__init__.py")}
        found |= {file for file in files if file.is_file()}
    return frozenset(found)


@cache
def digest_of(path: Path) -> str:
    """The digest of `sources` of ``path``, and of the versions of numba and numpy."""
    state = sha256()
    for file in sorted(sources(path)):
        state.update(file.read_bytes())
    state.update(f"{numba.__version__} {llvmlite.__version__} {numpy.__version__}".encode())
    return state.hexdigest()[:16]


@cache
def _folder(file: str) -> Path | None:
    """The folder of what is kept for the module in ``file``, the first that is writable; None without any.

    What is kept is run, so nobody else may write there.
    """
    path = Path(file)
    if not path.is_file() or PACKAGE not in path.parents:
        return None
    inside = path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")
    own = "deploytool-" + sha256(str(PACKAGE).encode()).hexdigest()[:16]
    wide = Path(AppDirs(appname="numba", appauthor=False).user_cache_dir) / own
    for parent in [Path(config.CACHE_DIR) / own] if config.CACHE_DIR else [path.parent / "__pycache__", wide]:
        folder = parent / f"{inside}-{digest_of(path)}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        if not is_private(folder):
            continue
        _sweep(folder, inside)
        return folder
    return None


def is_private(folder: Path) -> bool:
    """Whether only this user, root and the owner of the package can put a file or a folder at ``folder`` or in it.

    Groups count as trusted, and so do folders where everybody may write but only owners rename, as in /tmp.
    """
    if not hasattr(os, "geteuid"):
        return True
    trusted = {os.geteuid(), 0, PACKAGE.stat().st_uid}
    whole = folder.resolve()
    for place in (whole, *whole.parents):
        found = place.stat()
        is_open = found.st_mode & stat.S_IWOTH and (place == whole or not found.st_mode & stat.S_ISVTX)
        if found.st_uid not in trusted or is_open:
            return False
    return True


def _sweep(folder: Path, module: str) -> None:
    """Removes what is kept beside ``folder`` for other states of ``module`` and for modules that are gone, and what
    numba kept there itself."""
    for other in folder.parent.glob("*-*"):
        name, _, state = other.name.rpartition("-")
        stale = name == module or not (PACKAGE / f"{name.replace('.', '/')}.py").is_file()
        if other != folder and stale and re.fullmatch("[0-9a-f]{16}", state):
            shutil.rmtree(other, ignore_errors=True)
    for other in folder.parent.glob("*.nb[ci]"):
        other.unlink(missing_ok=True)


def _environment(module: str, constants: list[Any], name: str) -> Any:
    """The environment called ``name`` of a kept function of ``module``; one of `_BUILT_IN` is not imported.

    numba imports the module for its globals, which only code that runs in the interpreter looks up. Every kept loop
    that makes an array has an environment of ``numba.np``, whose import takes as long as a short run.
    """
    if not module.startswith(_BUILT_IN):
        return _REBUILD(module, constants, name)
    if (known := environment.lookup_environment(name)) is not None:
        return known
    made = environment.Environment({"__name__": module})
    made.consts[:], made.env_name = constants, name
    environment.Environment._memo[name] = made
    return made


_REBUILD: Final = environment._rebuild_env
environment._rebuild_env = _environment


class _Locator(_CacheLocator):  # type: ignore[misc]
    """Where numba keeps what it compiled of one function."""

    def __init__(self, function: Any, file: str) -> None:
        self._py_file = file
        self.folder, self.line = _folder(file), function.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return str(self.folder)

    def get_source_stamp(self) -> str:
        return digest_of(Path(self._py_file))

    def get_disambiguator(self) -> str:
        return str(self.line)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator:
        return cls(py_func, py_file)


class _Reduced(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_Locator,)


class _Files:
    """The files in ``folder`` that keep a function, one for each key: its types, the processor and the code."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name

    def load(self, key: object) -> Any:
        """What is kept for ``key``, None if there is nothing."""
        content = _read(self._path(key))
        known, data = (None, None) if content is None else loads(content)
        return data if known == key else None

    def save(self, key: object, data: Any) -> None:
        """Keeps ``data`` for ``key``, if there is room."""
        _write(self._path(key), dumps((key, data)))

    def _path(self, key: object) -> Path:
        return self._folder / f"{self._name}-{sha256(repr(key).encode()).hexdigest()[:16]}.nbc"


class _Kept(FunctionCache):  # type: ignore[misc]
    _impl_class = _Reduced

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._cache_file = _Files(Path(self._cache_path), self._impl.filename_base)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function that is kept for ``sig``, None if there is none.

        numba first makes its context able to compile, which takes longer than most runs. What is kept needs only the
        memory manager; a function that is not kept makes the rest of the context when it is compiled.
        """
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keeps ``data`` for ``sig``, if there is room."""
        with suppress(OSError):
            super().save_overload(sig, data)
