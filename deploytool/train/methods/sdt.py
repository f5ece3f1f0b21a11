"""SDT, standard direct training: every layer runs the same fixed number of time steps T, at which it is evaluated."""

from __future__ import annotations

from typing import Final

from deploytool.train.loop.descent import Descent
from deploytool.train.methods.method import descending

SDT: Final = descending(Descent())
