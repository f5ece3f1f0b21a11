"""Utterances in WAV files: a folder for each speaker."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.digest import digest
from deploytool.base.errors import InputError
from deploytool.base.extras import require

SUFFIX: Final = ".wav"
LAYOUT: Final = "Make a folder for each speaker, and put the utterances of that speaker into it as .wav files."

Wave = NDArray[np.float64]


@dataclass(frozen=True)
class Utterances:
    """The utterances in the folder ``root``: {speaker: its files relative to ``root``}, in order of names."""

    root: Path
    speakers: Mapping[str, tuple[str, ...]]

    @property
    def fingerprint(self) -> str:
        """The digest of the names and sizes of all files, which are not read."""
        sizes = [(self.root / name).stat().st_size for names in self.speakers.values() for name in names]
        return digest([dict(self.speakers), sizes])


def utterances_in(root: Path) -> Utterances:
    """The utterances in ``root``. Raises InputError for a folder without speakers, and for speakers without files."""
    if not root.is_dir():
        raise InputError(f"data.root {root}", "no such folder", "the folder of the utterances", LAYOUT)
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise InputError(f"data.root {root}", "no folders in it", "a folder for each speaker", LAYOUT)
    found = {
        folder.name: tuple(
            sorted(path.relative_to(root).as_posix() for path in folder.rglob("*") if path.suffix.lower() == SUFFIX)
        )
        for folder in folders
    }
    if empty := [name for name, files in found.items() if not files]:
        raise InputError(f"data.root {root}", f"no {SUFFIX} files in {', '.join(empty)}", "some for every speaker")
    return Utterances(root, found)


def read_wav(path: Path, rate_hz: int) -> Wave:
    """(N,): the utterance in ``path`` at ``rate_hz``, from -1 to 1; resampled if the file has a higher rate.

    Raises InputError for a file that is no WAV file, has several channels or a lower rate, or is silent; UsageError
    without SciPy.
    """
    require(str(path), "scipy")
    from scipy.io import wavfile
    from scipy.signal import resample_poly

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            found_hz, samples = wavfile.read(path)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(str(path), f"cannot be read ({error})", "a WAV file") from None
    if samples.ndim != 1:
        raise InputError(str(path), f"{samples.shape[1]} channels", "one", "Write one channel to a file of its own.")
    if found_hz < rate_hz:
        need = f"at least data.rate_hz = {rate_hz}"
        raise InputError(str(path), f"{found_hz} samples per second", need, "Lower data.rate_hz.")
    wave = _real(samples)
    if found_hz != rate_hz:
        common = gcd(found_hz, rate_hz)
        wave = resample_poly(wave, rate_hz // common, found_hz // common)
    if not np.isfinite(wave).all() or not np.any(wave):
        raise InputError(str(path), "silent, or not finite", "an utterance")
    return wave


def _real(samples: NDArray[Any]) -> Wave:
    """``samples`` from -1 to 1."""
    if samples.dtype.kind == "f":
        return np.asarray(samples, np.float64)
    middle = 128 if samples.dtype == np.uint8 else 0
    top = 128 if samples.dtype == np.uint8 else float(np.iinfo(samples.dtype).max) + 1
    return (np.asarray(samples, np.float64) - middle) / top
