"""The files inside artifacts, by name: written by the pipeline, read wherever an artifact is shown."""

from __future__ import annotations

from typing import Final

WEIGHTS: Final = "weights.safetensors"
HISTORY: Final = "history.json"
DECODER: Final = "decoder.json"
NETWORK: Final = "network.nir"
CONFIGURATION: Final = "configuration.json"
QUANTISATION: Final = "quantisation.json"
SPLITS: Final = "splits.json"
CALIBRATION: Final = "calibration.json"
PAGE: Final = "report.html"
SELFTEST: Final = "selftest.json"
SELFTEST_PAGE: Final = "selftest.html"
CLASSES: Final = "classes.json"
MIXTURES: Final = "mixtures.txt"


def other_weights(name: str) -> str:
    """The file of a network ``name`` that a model is compared with, such as plain-conversion.safetensors."""
    return f"{name.replace(' ', '-').lower()}.safetensors"
