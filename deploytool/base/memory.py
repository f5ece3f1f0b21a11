"""How much memory a command may take, and the refusal of what would take more.

The bound is what --max-memory says, or the variable `VARIABLE`, which also reaches child processes. Without them it is
a share of the memory of the machine, of its container, or of what limits of the process leave.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar

from deploytool.base.errors import DeployError, UnsupportedError, UsageError
from deploytool.base.machine import threads

VARIABLE: Final = "DEPLOYTOOL_MAX_MEMORY"
OPTION: Final = "--max-memory"
SHARE: Final = 0.75
"""The share of the memory that is there which a command may take where nothing is stated."""

PER_THREAD: Final = 1 << 26
"""Bytes that a thread of a library may reserve without using them."""

_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,9})?) ?([kmgt]?)(i?)b?", re.IGNORECASE | re.ASCII)
_POWER: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_UNITS: Final = ("kB", "MB", "GB", "TB", "PB")
_CGROUPS: Final = Path("/sys/fs/cgroup")
_OUT: Final = re.compile(r"(can't|cannot|unable to|failed to|not) alloc|out of memory|bad_alloc", re.IGNORECASE)

_Error = TypeVar("_Error", bound=DeployError)


def memory_allowed() -> int:
    """The number of bytes that a command may take. Raises UsageError for a size that cannot be read."""
    stated = os.environ.get(VARIABLE, "")
    return parse_bytes(stated, VARIABLE) if stated else int(SHARE * _there())


def allowed_in_words() -> str:
    """The bound as what an error needs: ``at most 4.0 GB, as --max-memory says``."""
    why = f"as {OPTION} says" if os.environ.get(VARIABLE) else "three quarters of what is there"
    return f"at most {format_bytes(memory_allowed())}, {why}"


def require_memory(where: str, what: str, needed: int, todo: str, kind: type[_Error]) -> None:
    """Raises ``kind`` if ``what``, such as "the weights", which will take ``needed`` bytes, is more than is allowed.

    ``todo`` says what makes it smaller.
    """
    if needed > memory_allowed():
        found = f"{what} would take {format_bytes(needed)} of memory"
        raise kind(where, found, allowed_in_words(), f"{todo}, or allow more with {OPTION}.")


def out_of_memory(error: BaseException, where: str) -> DeployError | None:
    """The sentence for ``error`` if it says that memory is exhausted, else None."""
    exhausted = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    if not exhausted and not (isinstance(error, RuntimeError) and _OUT.search(str(error)[:2000])):
        return None
    said = next(iter(str(error).splitlines()), "")[:200].rstrip(".")
    found = "there was not enough memory" + (f" ({said})" if said else "")
    todo = "Use a smaller train.batch or a larger train.accumulate, fewer --rasters or samples, or a smaller network"
    return UnsupportedError(where, found, allowed_in_words(), f"{todo}; or allow more with {OPTION}.")


def parse_bytes(text: str, where: str) -> int:
    """The number of bytes in ``text``, such as 4GB, 512MiB or 1000000. Raises UsageError at ``where``."""
    match = _SIZE.fullmatch(text.strip())
    number = float(match[1]) * (1024 if match[3] else 1000) ** _POWER[match[2].lower()] if match else 0
    if match is None or (match[3] and not match[2]) or not 1 <= number < 2**62:
        raise UsageError(where, f"found {text!r}", "a size such as 4GB or 512MiB")
    return int(number)


def format_bytes(number: int) -> str:
    """``number`` of bytes in words: ``512 bytes``, ``1.5 GB``."""
    if number < 1000:
        return f"{number} bytes"
    power = next((power for power in range(1, len(_UNITS)) if number < 999.95 * 1000**power), len(_UNITS))
    return f"{number / 1000**power:,.1f} {_UNITS[power - 1]}"


@contextmanager
def memory_bound(stated: str | None, where: str) -> Iterator[None]:
    """``stated`` is the bound in the body, if it is given; exhausted memory raises UnsupportedError at ``where``.

    A bound that a user states also stops what no estimate foresaw, on systems with limits of the data of a process.
    Raises UsageError for a size that cannot be read.
    """
    before = os.environ.get(VARIABLE)
    if stated is not None:
        parse_bytes(stated, OPTION)
        os.environ[VARIABLE] = stated
    try:
        with _stopped_at(memory_allowed()) if os.environ.get(VARIABLE) else nullcontext():
            yield
    except (MemoryError, OSError, RuntimeError) as error:
        if (exhausted := out_of_memory(error, where)) is None:
            raise
        raise exhausted from None
    finally:
        if stated is not None:
            os.environ.pop(VARIABLE)
            os.environ.update({} if before is None else {VARIABLE: before})


@contextmanager
def _stopped_at(number: int) -> Iterator[None]:
    """In the body, the process gets no more than about ``number`` of bytes in addition to what it has."""
    try:
        import resource
    except ImportError:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    room = number + _data() + threads() * PER_THREAD
    limits = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (min([room, *limits]), hard))
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data() -> int:
    """The number of bytes of data that this process has reserved."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _there() -> int:
    """The number of bytes of memory of this machine, or of what limits this process to less."""
    return min([_machine(), *_limits_of_process()])


def _limits_of_process() -> Iterator[int]:
    try:
        import resource
    except ImportError:
        return
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            yield soft


@lru_cache(maxsize=1)
def _machine() -> int:
    """The number of bytes of memory of this machine, or of the container if that has less."""
    try:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        physical = 1 << 33
    return min([physical, *_limits_of_cgroups()])


def _limits_of_cgroups() -> Iterator[int]:
    """The limits in bytes of the control groups of this process, of both versions."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root, name = (_CGROUPS / "memory", "memory.limit_in_bytes") if controllers else (_CGROUPS, "memory.max")
        below = root / path.lstrip("/")
        for folder in (below, *below.parents):
            if folder == _CGROUPS.parent:
                break
            with suppress(OSError, ValueError):
                yield int((folder / name).read_text())
