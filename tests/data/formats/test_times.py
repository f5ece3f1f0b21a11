"""Times as people have them: units, clocks that ran over, offsets; what cannot be is named with the way out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import InputError, UsageError
from deploytool.data.formats.reading import AS_IT_IS, Reading
from deploytool.data.formats.times import Timed, date, timed

PIXELS = 28 * 28
SINCE_1970_S = 1_700_000_000
US = np.sort(np.random.default_rng(0).integers(0, 50_000, 500))
"""500 events in 50 ms."""


def of(t: np.ndarray, unit: str | None = None, **options: object) -> Timed:
    return timed(np.asarray(t), Reading(**options), unit, PIXELS, "a.npy")


def refused(t: np.ndarray, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        of(t, **options)
    (problem,) = caught.value.problems
    return problem


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=99), st.integers(-(10**12), 8 * 10**11))
def test_a_recording_begins_at_its_first_event(times: list[int], offset: int) -> None:
    times = np.sort(times)
    found = of(times + offset)
    assert np.array_equal(found.t_us, times - times[0])
    assert found.clock.removed_us == times[0] + offset
    kept = of(times + offset, absolute_time=True)
    assert np.array_equal(kept.t_us, times + offset)
    assert kept.clock.removed_us == 0


@pytest.mark.parametrize(("unit", "factor"), [("us", 1), ("ms", 1000), ("s", 10**6)])
def test_a_stated_unit_is_converted(unit: str, factor: int) -> None:
    whole = np.arange(0, 70, 7)
    assert np.array_equal(of(whole, time_unit=unit).t_us, whole * factor)
    assert np.array_equal(of(whole.astype(np.float32), time_unit=unit).t_us, whole * factor)
    fractions = whole + 0.25
    assert np.array_equal(of(fractions, time_unit=unit, absolute_time=True).t_us, np.rint(fractions * factor))


def test_nanoseconds_are_cut_to_microseconds() -> None:
    assert of(np.array([1999, 2000, 5999]), time_unit="ns", absolute_time=True).t_us.tolist() == [1, 2, 5]
    since = SINCE_1970_S * 10**9
    assert of(np.array([since, since + 2500]), time_unit="ns").t_us.tolist() == [0, 2]


def test_a_sample_in_milliseconds_lasts_until_its_last_millisecond_is_over() -> None:
    assert of(np.array([3, 9]), time_unit="ms").clock.step_us == 1000
    assert of(np.array([3, 9])).clock.step_us == 1


@pytest.mark.parametrize("kind", ["M8[ns]", "M8[us]", "m8[ms]"])
def test_numpys_own_times_know_their_unit(kind: str) -> None:
    times = np.array([5, 5, 9], f"{kind[:2]}[ms]").astype(kind)
    assert of(times).t_us.tolist() == [0, 0, 4000]
    with pytest.raises(UsageError, match=r"--time-unit: given with a.npy, whose times have dtype"):
        of(times, time_unit="ms")


@pytest.mark.parametrize("bits", [32, 31, 24, 23])
def test_a_clock_that_ran_over_is_named_and_unwrapped_on_request(bits: int) -> None:
    true = np.cumsum(np.random.default_rng(1).integers(1, 2**bits // 60, 200)) + 2**bits - 9
    wrapped = true % 2**bits
    row = int(np.flatnonzero(np.diff(wrapped) < 0)[0]) + 1
    says = refused(wrapped)
    assert f"time goes back at event {row}, from {wrapped[row - 1]} to {wrapped[row]} us" in says
    assert f"as when a {bits}-bit clock overflows; need events in order of time." in says
    assert says.endswith(f"Add --unwrap, which adds 2^{bits} us from there on.")
    found = of(wrapped, unwrap=True)
    assert np.array_equal(found.t_us, true - true[0])
    assert (found.clock.overflows, found.clock.bits) == (true[-1] // 2**bits - true[0] // 2**bits, bits)


def test_a_signed_clock_runs_over_from_its_largest_to_its_smallest() -> None:
    wrapped = np.array([2**31 - 5, 2**31 - 1, -(2**31), 4 - 2**31], np.int32)
    assert "a 32-bit clock" in refused(wrapped)
    assert of(wrapped, unwrap=True).t_us.tolist() == [0, 4, 5, 9]


def test_unwrapping_counts_in_the_files_own_unit() -> None:
    assert of(np.array([2**24 - 1, 3], np.uint32), time_unit="ms", unwrap=True).t_us.tolist() == [0, 4000]


def test_what_is_no_overflow_is_left_to_the_check_of_order() -> None:
    for times in ([40, 30, 20], [10**7, 0, 5], [2**32 - 1, 2**31, 2**31 + 1]):
        assert of(np.array(times), unwrap=True, absolute_time=True).t_us.tolist() == times


def test_milliseconds_are_recognised() -> None:
    says = refused(US // 1000)
    assert "500 events within 49 us, several at each time, as if times were milliseconds" in says
    assert "Add --time-unit ms if that is right, or --time-unit us if they are microseconds." in says
    assert np.array_equal(of(US // 1000, time_unit="us").t_us, US // 1000 - US[0] // 1000)
    assert f"begin at {date(SINCE_1970_S * 10**6)} if they are milliseconds since 1970" in refused(
        US[:9] + SINCE_1970_S * 1000
    )


def test_nanoseconds_are_recognised() -> None:
    says = refused(US * 1000)
    assert "500 events in 50 s, all whole milliseconds apart, as if times were nanoseconds" in says
    assert "Add --time-unit ns" in says
    assert f"nanoseconds since 1970, from {date(SINCE_1970_S * 10**6)} on" in refused(US[:9] + SINCE_1970_S * 10**9)


def test_seconds_are_recognised() -> None:
    says = refused(US / 1e6)
    assert "times with fractions" in says
    assert "Add --time-unit s if they are seconds" in says
    assert f"as seconds since 1970 from {date(SINCE_1970_S * 10**6)} on" in refused(US / 1e6 + SINCE_1970_S)
    assert np.array_equal(of(US / 1e6, time_unit="s").t_us, US - US[0])


@pytest.mark.parametrize(
    "times",
    [
        US,
        US + SINCE_1970_S * 10**6,  # since 1970, in microseconds
        np.arange(0, 10**6, 1000),  # a spike every millisecond
        np.arange(200) * 100_000,  # ten spikes per second
        np.sort(np.repeat(np.arange(0, 300_000, 1000), 4)),  # four in every millisecond
        np.arange(200),  # a burst on one wire
        np.zeros(500, np.int64),
        US[:60] // 1000,
    ],
)
def test_times_that_can_be_microseconds_are(times: np.ndarray) -> None:
    assert np.array_equal(of(times).t_us, times - times[0])


def test_a_format_that_counts_microseconds_is_believed() -> None:
    assert np.array_equal(of(US // 1000, unit="us").t_us, US // 1000 - US[0] // 1000)


def test_a_recording_cannot_begin_in_1970() -> None:
    says = refused(US + SINCE_1970_S * 10**6, absolute_time=True)
    assert "times since 1970, from 2023-11-14 22:13:20 UTC on" in says
    assert says.endswith("Leave out --absolute-time.")


@pytest.mark.parametrize(
    ("times", "says"),
    [
        (np.array(["1", "2"]), "field t has dtype <U1; need integers"),
        (np.array([1.0, np.nan]), "times that are not finite"),
        (np.array([2**63 + 5], np.uint64), "field t goes up to 9223372036854775813; need signed 64-bit integers"),
        (np.zeros((3, 2)), "field t has dtype float64"),
    ],
)
def test_what_is_no_time_is_refused(times: np.ndarray, says: str) -> None:
    assert says in refused(times)
    assert "times up to" in refused(np.array([2**60]), time_unit="s")


def test_short_reals_are_times() -> None:
    assert of(np.array([0, 5, 2048], np.float16), time_unit="us").t_us.tolist() == [0, 5, 2048]
    assert "times with fractions, 0.5 to 60000" in refused(np.array([0.5, 60_000], np.float16))


def test_options_are_checked() -> None:
    for columns in ("xyt", "xxyt", "abcd", ""):
        with pytest.raises(
            UsageError, match=f"--columns: found '{columns}'; need each of the letters x, y, t and p once"
        ):
            Reading(columns)
    with pytest.raises(UsageError, match="--time-unit: found 'min'; need one of us, ms, s, ns"):
        Reading(time_unit="min")
    assert AS_IT_IS.options == {}
    assert Reading("xypt", unwrap=True).options == {"--columns": "xypt", "--unwrap": True}
