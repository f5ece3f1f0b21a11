"""What the chips draw, with its source. No source gives the energy of a synaptic update."""

from __future__ import annotations

from typing import Final

RESTING_MW: Final = 0.42
RESTING_SOURCE: Final = "processor at rest 0.42 mW: M. Yao et al., Nature Communications 15, 4464 (2024)"
