"""A whole training step compared with other libraries; peers.py describes the measurement."""

from __future__ import annotations

from typing import Any


def training() -> list[dict[str, Any]]:
    """Milliseconds per step for every library of `deploytool.bench.speed.peers`, at 10, 30 and 100 time steps."""
    from deploytool.bench.speed.peers import training_steps

    return training_steps()
