"""The windows of a recording, and their decoder, as columns of its file."""

from __future__ import annotations

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.ir.columns import NEED, Columns, narrow
from deploytool.ir.decoder import READS, Decoder
from deploytool.ir.windows import OutputWindows

_WINDOWS, _DECODER = "windows/", "decoder/"


def windows_columns(windows: OutputWindows | None) -> dict[str, Array]:
    """{name: column} of ``windows``; none if there are none."""
    if windows is None:
        return {}
    columns = {_WINDOWS + name: getattr(windows, name) for name in ("number", "targets", "potentials")}
    columns[_WINDOWS + "counts"] = narrow(windows.counts)
    if (decoder := windows.decoder) is not None:
        stated = {**vars(decoder), "window_us": decoder.window_us or 0}
        columns |= {_DECODER + name: np.array(value) for name, value in stated.items()}
    return columns


def read_windows(columns: Columns, samples: int) -> OutputWindows | None:
    """The windows of a number of ``samples``; None if the file has none. Raises ArtifactError as `Columns` does."""
    if _WINDOWS + "number" not in columns.columns:
        return None
    try:
        return OutputWindows(
            columns.integers(_WINDOWS + "number", samples, least=0),
            columns.integers(_WINDOWS + "counts", None, None, least=0),
            columns.reals(_WINDOWS + "targets", np.float32, 2),
            columns.reals(_WINDOWS + "potentials", np.float32, 2),
            _decoder(columns) if _DECODER + "values" in columns.columns else None,
        )
    except InputError as error:
        raise columns.error(_WINDOWS + "number", f"sizes that contradict each other ({error})", NEED) from None


def _decoder(columns: Columns) -> Decoder:
    return Decoder(
        columns.texts(_DECODER + "values"),
        columns.reals(_DECODER + "weights", np.float64, 2),
        columns.reals(_DECODER + "offset", np.float64, 1),
        columns.text(_DECODER + "unit"),
        columns.one_of(_DECODER + "reads", READS),
        int(columns.integers(_DECODER + "window_us", least=0)) or None,
    )
