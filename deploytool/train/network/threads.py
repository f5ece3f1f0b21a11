"""Compiled loops over parts of what there is to do, on as many threads as torch uses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch


def in_parts(work: Callable[[int, int], None], count: int, size: int) -> None:
    """Calls ``work(first, last)`` for all of ``count``, at most ``size`` at a time."""
    starts = range(0, count, size)
    ends = [min(start + size, count) for start in starts]
    threads = min(torch.get_num_threads(), len(ends))
    each = map if threads <= 1 else _pool(threads).map
    for _ in each(work, starts, ends):
        pass


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "loops")
