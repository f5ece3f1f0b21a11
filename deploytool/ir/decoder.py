"""The decoder: how real values are read from the output of a network, window by window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import all_finite, frozen
from deploytool.base.errors import InputError

Reads: TypeAlias = Literal["rate", "potential"]
"""The output that a decoder takes: the spikes of each output neuron in a window, or its V at the end of the window."""
READS: Final[tuple[Reads, ...]] = get_args(Reads)


@dataclass(frozen=True, eq=False)
class Decoder:
    """D values of K outputs: value = ``weights`` (D, K) @ output (K,) + ``offset`` (D,), both float64 and read-only.

    ``reads`` says what the output is. ``values`` are the names of the values, all in ``unit`` ("" if they have none).
    ``window_us`` is the length of a window; None makes a sample one window.
    Raises InputError if the sizes differ, a number is not finite, or a window is not longer than 0.
    """

    values: tuple[str, ...]
    weights: NDArray[np.float64]
    offset: NDArray[np.float64]
    unit: str = ""
    reads: Reads = "rate"
    window_us: int | None = None

    def __post_init__(self) -> None:
        for name in ("weights", "offset"):
            object.__setattr__(self, name, frozen(np.asarray(getattr(self, name), np.float64)))
        size = len(self.values)
        if self.weights.ndim != 2 or len(self.weights) != size or self.offset.shape != (size,):
            found = f"weights of shape {self.weights.shape} and offsets of shape {self.offset.shape}"
            raise InputError("decoder", found, f"({size}, outputs) and ({size},), for {size} values")
        if not (all_finite(self.weights) and all_finite(self.offset)):
            raise InputError("decoder", "weights or offsets that are not finite", "finite numbers")
        if self.window_us is not None and self.window_us < 1:
            raise InputError("decoder", f"windows of {self.window_us} us", "1 us or longer")

    @property
    def outputs(self) -> int:
        """K, the number of outputs that it reads."""
        return int(self.weights.shape[1])

    def windows(self, duration_us: int) -> int:
        """The number of windows in a sample of ``duration_us``, at least one."""
        return 1 if self.window_us is None else max(1, round(duration_us / self.window_us))

    def decode(self, outputs: NDArray[np.generic]) -> NDArray[np.float64]:
        """(N, D): the values of ``outputs`` (N, K)."""
        values: NDArray[np.float64] = outputs.astype(np.float64) @ self.weights.T + self.offset
        return values


def as_values(decoder: Decoder) -> dict[str, Any]:
    """``decoder`` as JSON values, which `parse_decoder` reads."""
    return {**vars(decoder), "weights": decoder.weights.tolist(), "offset": decoder.offset.tolist()}


def parse_decoder(values: Any, where: str) -> Decoder | None:
    """The decoder that the JSON ``values`` describe, None for null. Raises InputError if they describe none."""
    if values is None:
        return None
    try:
        weights, offset = (np.array(values[name], np.float64) for name in ("weights", "offset"))
        if values["reads"] not in READS or not isinstance(values["window_us"], int | None):
            raise ValueError("neither a rate nor a potential in windows of whole microseconds")
        named = tuple(map(str, values["values"]))
        return Decoder(named, weights, offset, str(values["unit"]), values["reads"], values["window_us"])
    except (KeyError, TypeError, ValueError, OverflowError, InputError) as error:
        found, need = f"describes a decoder that is none ({error})", "one that deploytool wrote"
        raise InputError(where, found, need) from None
