"""The separated voices of a recording, as columns of its file."""

from __future__ import annotations

from typing import Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.ir.columns import NEED, Columns
from deploytool.ir.speech import Separated

_SPEECH: Final = "speech/"
_ESTIMATES: Final = "speech/estimates/"


def speech_columns(speech: Separated | None) -> dict[str, Array]:
    """{name: column} of ``speech``; none if there is none."""
    if speech is None:
        return {}
    columns: dict[str, Array] = {_SPEECH + name: np.array(getattr(speech, name)) for name in ("rate_hz", "says")}
    columns[_SPEECH + "synthetic"] = np.array(int(speech.synthetic))
    columns[_SPEECH + "sources"] = speech.sources
    columns[_SPEECH + "networks"] = np.array(list(speech.estimates), dtype=np.str_)
    return columns | {_ESTIMATES + name: waves for name, waves in speech.estimates.items()}


def read_speech(columns: Columns) -> Separated | None:
    """The separated voices; None if the file has none. Raises ArtifactError as `Columns` does."""
    if _SPEECH + "sources" not in columns.columns:
        return None
    names = columns.texts(_SPEECH + "networks")
    try:
        return Separated(
            columns.reals(_SPEECH + "sources", np.float32, 3),
            {name: columns.reals(_ESTIMATES + name, np.float32, 3) for name in names},
            int(columns.integers(_SPEECH + "rate_hz", least=1)),
            columns.text(_SPEECH + "says"),
            bool(columns.integers(_SPEECH + "synthetic", least=0)),
        )
    except InputError as error:
        raise columns.error(_SPEECH + "sources", f"damaged ({error.problems[0].rstrip('.')})", NEED) from None
