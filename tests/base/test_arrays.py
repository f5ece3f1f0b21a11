"""Arrays of files: NumPy warns when it converts some of their numbers, and a warning is a traceback in tests."""

from __future__ import annotations

import numpy as np
import pytest

from deploytool.base.arrays import all_finite, are_whole, doubles, require_finite, wide
from deploytool.base.errors import InputError

SIGNALLING = np.array([0x7FA00001, 0x3F800000], np.uint32).view(np.float32)
"""A NaN whose conversion is an invalid operation, and 1."""


def test_numbers_of_all_kinds_become_doubles_in_silence() -> None:
    assert np.isnan(doubles(SIGNALLING)[0])
    assert np.isnan(wide(SIGNALLING)[0])
    assert doubles(SIGNALLING)[1] == 1
    assert doubles(np.array([2**70, 3], np.longdouble)).tolist() == [2.0**70, 3]
    assert doubles(np.array([np.longdouble("1e4000")])).tolist() == [np.inf]
    assert doubles(np.array([7], np.int8)).dtype == np.float64


@pytest.mark.parametrize("array", [SIGNALLING, np.array([1e300]), np.array([np.inf])])
def test_what_is_not_finite_in_float32_is_refused(array: np.ndarray) -> None:
    with pytest.raises(InputError, match="here"):
        require_finite("here", "weights", array)


def test_whole_numbers_are_found_in_silence() -> None:
    wanted = [False, False, True, False, True]
    assert are_whole(np.array([*SIGNALLING[:1], np.inf, -3, 0.5, 1e30], np.float32)).tolist() == wanted
    assert are_whole(SIGNALLING).tolist() == [False, True]
    assert are_whole(np.arange(3)).all()


def test_whether_all_numbers_are_finite_is_found_in_silence() -> None:
    """NumPy warns of some numbers in bfloat16, as checkpoints of torch may have them."""
    small = pytest.importorskip("ml_dtypes").bfloat16
    bits = np.arange(2**16, dtype=np.uint16)
    assert not all_finite(bits.view(small))
    finite = bits[(bits >> 7 & 0xFF) < 0xFF].view(small)
    assert all_finite(finite)
    assert all_finite(np.arange(3))
    assert not all_finite(np.array([1.0, np.nan]))
