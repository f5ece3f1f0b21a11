"""Compiled loops on the number of threads that torch uses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


def in_parts(work: Callable[[int, int], None], count: int, size: int) -> None:
    """Calls ``work(first, last)`` for 0 to ``count``, in parts of at most ``size``."""
    starts = range(0, count, size)
    ends = [min(start + size, count) for start in starts]
    threads = min(torch.get_num_threads(), len(ends))
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


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "loops")
