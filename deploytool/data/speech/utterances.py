"""Utterances in WAV files: a folder for each speaker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import all_finite
from deploytool.base.digest import digest
from deploytool.base.errors import InputError
from deploytool.base.extras import require
from deploytool.data.formats.files import refuse_unwritable
from deploytool.data.speech.wav import read_audio

SUFFIX: Final = ".wav"
LAYOUT: Final = "Make a folder for each speaker, and put the utterances of that speaker into it as .wav files."

PEAK_MAX: Final = 2.0**64
"""A wave whose largest sample is not below this, or not above its inverse, is no sound."""
RATIO_MAX: Final = 200_000
"""The largest step of a resampling, whose filter is twenty times as long."""

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
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        found = {folder.name: _waves_in(folder, root) for folder in folders}
    except OSError as error:
        unreadable = f"cannot be read ({error.strerror})"
        raise InputError(f"data.root {root}", unreadable, "a folder that you may read") from None
    if not folders:
        raise InputError(f"data.root {root}", "no folders in it", "a folder for each speaker", LAYOUT)
    if empty := [name for name, files in found.items() if not files]:
        raise InputError(f"data.root {root}", f"no {SUFFIX} files in {', '.join(empty)}", "some for every speaker")
    return Utterances(root, found)


def _waves_in(folder: Path, root: Path) -> tuple[str, ...]:
    """The files in ``folder``, relative to ``root``. Raises InputError for what has the name of one and is none."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() == SUFFIX)
    refuse_unwritable(paths)
    if others := [path for path in paths if not path.is_file()]:
        raise InputError(str(others[0]), "not a file", f"{SUFFIX} files", "Rename it, or take it away.")
    return tuple(path.relative_to(root).as_posix() for path in paths)


def read_wav(path: Path, rate_hz: int) -> Wave:
    """(N,): the utterance in ``path`` at ``rate_hz``, from -1 to 1; resampled if the file has a higher rate.

    Raises InputError for a file that is no WAV file, has several channels or a lower rate, or is silent; UsageError
    without SciPy.
    """
    require(str(path), "scipy")
    from scipy.signal import resample_poly

    found_hz, wave = read_audio(path)
    if found_hz < rate_hz:
        need = f"at least data.rate_hz = {rate_hz}"
        raise InputError(str(path), f"{found_hz} samples per second", need, "Lower data.rate_hz.")
    peak = float(np.abs(wave).max(initial=0))
    if not all_finite(wave) or not 1 / PEAK_MAX < peak < PEAK_MAX:
        raise InputError(str(path), "silent, or not finite", "an utterance, whose samples are from -1 to 1")
    if found_hz != rate_hz:
        common = gcd(found_hz, rate_hz)
        if found_hz // common > RATIO_MAX:
            need = f"a rate of at most {RATIO_MAX:,} Hz, or one that {rate_hz} divides"
            raise InputError(str(path), f"{found_hz} samples per second", need, "Resample it.")
        wave = resample_poly(wave, rate_hz // common, found_hz // common)
    return wave
