"""Compiled loops on the number of threads that torch uses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import torch

_LOOPS: Final = ContextVar("the number of threads of loops, if torch has fewer", default=1)


def in_parts(work: Callable[[int, int], None], count: int, size: int) -> None:
    """Calls ``work(first, last)`` for 0 to ``count``, in parts of at most ``size``."""
    starts = range(0, count, size)
    ends = [min(start + size, count) for start in starts]
    threads = min(max(torch.get_num_threads(), _LOOPS.get()), len(ends))
    each = map if threads <= 1 else _pool(threads).map
    for _ in each(work, starts, ends):
        pass


@contextmanager
def one_thread() -> Iterator[None]:
    """A context in which torch computes on one thread: for small tensors, where waiting for others costs more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def sums_on_one_thread() -> Iterator[None]:
    """A context in which torch computes on one thread, so that its sums have one order, and loops on as many as before.

    Loops give the same numbers on any number of threads.
    """
    before = _LOOPS.set(max(torch.get_num_threads(), _LOOPS.get()))
    try:
        with one_thread():
            yield
    finally:
        _LOOPS.reset(before)


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "loops")
