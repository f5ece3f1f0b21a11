"""The congestion balancer at the input of a core: events that arrive while the core is busy are lost.

A model: an event of n synaptic updates keeps the core busy for n / speed seconds from its time on.
"""

from __future__ import annotations

from deploytool.ir.program import SECOND_US


class Balancer:
    """The balancer of a core that does ``speed`` SynOps per second; None lets every event pass.

    ``dropped`` is the number of lost events. This object is mutable: events keep it busy.
    """

    def __init__(self, speed: int | None) -> None:
        self.speed, self.dropped = speed, 0
        self._busy_until = 0
        """In units of 1 / (10^6 speed) seconds, in which both times and updates are whole numbers."""

    def drops(self, t_us: int) -> bool:
        """Whether an event at ``t_us`` is lost, which counts it."""
        lost = self.speed is not None and t_us * self.speed < self._busy_until
        self.dropped += lost
        return lost

    def work(self, t_us: int, updates: int) -> None:
        """Keeps the core busy for ``updates`` from ``t_us`` on."""
        if self.speed is not None:
            self._busy_until = t_us * self.speed + updates * SECOND_US
