"""Batch, chunk and block sizes on the GPU. Results do not depend on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from numba import config


@dataclass(frozen=True)
class Grid:
    """A launch over elements: ``threads`` per block, at most ``blocks``; a thread processes its elements in turn."""

    threads: int = 256
    blocks: int = 1 << 14

    def launch(self, kernel: Any, count: int, *arguments: Any) -> None:
        """Runs ``kernel`` with ``arguments``, which have ``count`` elements."""
        if count:
            kernel[min(-(-count // self.threads), self.blocks), self.threads](*arguments)


@dataclass(frozen=True)
class Sizes:
    """Batch, chunk and block sizes on the GPU.

    At most ``samples`` run together, with at most ``held`` input events. The first chunk has ``first`` events of each
    sample, which shows how many spikes they cause; later chunks have about ``events`` events in their longest queue.
    The marks of the events that a kernel processes at once fill ``marks`` words. A layer of at most ``block`` lanes is
    one block, which keeps at most ``shared`` bytes of V in its shared memory; otherwise blocks have ``threads``
    threads. A GPU runs ``warp`` threads in step: block sizes are multiples of it.
    """

    samples: int = 2048
    held: int = 1 << 26
    first: int = 16
    events: int = 1 << 21
    marks: int = 1 << 26
    block: int = 512
    shared: int = 40 << 10
    threads: int = 256
    warp: int = 32
    grid: Grid = Grid()


SIMULATED: Final = Sizes(samples=2, threads=4, warp=1, grid=Grid(threads=2, blocks=2))
"""Sizes for numba's GPU simulator, in which every thread is a Python thread: few threads."""

SIZES: Final = SIMULATED if config.ENABLE_CUDASIM else Sizes()
