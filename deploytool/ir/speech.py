"""Speech: mixtures of two speakers, and what a network makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Shape, frozen
from deploytool.base.errors import InputError

SPEAKERS: Final = 2
"""Speakers in a mixture."""

Waves = NDArray[np.float32]

AMPLITUDE_MAX: Final = 1e9
"""The largest value of a wave, whose samples are usually within 1; sums of their squares stay finite."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """One mixture, the sum of its ``sources`` (K, N) float32, read-only, of one speaker each, at ``rate_hz``.

    ``name`` states its origin and is used in messages.
    """

    sources: Waves
    rate_hz: int
    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", frozen(np.asarray(self.sources, np.float32)))

    @property
    def mixed(self) -> Waves:
        """(N,): the mixture itself."""
        found: Waves = self.sources.sum(axis=0)
        return found

    @property
    def shape(self) -> Shape:
        """(1, 1, N)."""
        return 1, 1, self.sources.shape[1]


@dataclass(frozen=True, eq=False)
class Separated:
    """What networks made of S mixtures at ``rate_hz``: ``estimates`` {network: (S, K, N) float32} of their ``sources``.

    The first network is the one that ran; the others were made on the way to it. The order of its K estimates means
    nothing. ``says`` states what the voices are; ``synthetic`` ones are no speech.
    """

    sources: Waves
    estimates: Mapping[str, Waves]
    rate_hz: int
    says: str
    synthetic: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", frozen(np.asarray(self.sources, np.float32)))
        found = {name: frozen(np.asarray(waves, np.float32)) for name, waves in self.estimates.items()}
        object.__setattr__(self, "estimates", MappingProxyType(found))
        if not found:
            raise InputError("speech", "estimates of no network", "those of one at least")
        for name, waves in found.items():
            if waves.shape != self.sources.shape or waves.ndim != 3:
                need = f"{self.sources.shape}, the shape of the sources"
                raise InputError("speech", f"estimates of {name!r} of shape {waves.shape}", need)
        for waves in (self.sources, *found.values()):
            if not np.abs(waves).max(initial=0) <= AMPLITUDE_MAX:
                raise InputError("speech", "waves that are not finite, or huge", f"values up to {AMPLITUDE_MAX:,.0f}")

    @property
    def mixtures(self) -> Waves:
        """(S, N): the mixtures."""
        found: Waves = self.sources.sum(axis=1)
        return found
