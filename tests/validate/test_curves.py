"""Any-time prediction: a run cut where it would have ended, by hand and against runs of shorter samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.families import crossing_programs, leaky_programs, split_programs
from helpers.programs import delayed_programs, programs
from hypothesis import given, reject
from hypothesis import strategies as st

from deploytool.base.errors import DeployError, InputError, UnsupportedError
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.fan_out import FanOut, fan_outs
from deploytool.ir.program import INPUT, Program
from deploytool.ir.recording import SPIKE, Recording
from deploytool.ir.sweep import Point
from deploytool.ir.target import Watch
from deploytool.run.jobs.job import Job
from deploytool.run.targets.options import Options
from deploytool.validate.curves import AnyTime, cut_point, mean_point, point


def spikes(*rows: tuple[int, int, int]) -> np.ndarray:
    """(sample, time, feature) of each spike."""
    return np.array([(sample, t, c, 0, 0) for sample, t, c in rows], SPIKE)


TWO = Recording(
    rung="emulator",
    samples=("a", "b"),
    labels=np.array([1, 0]),
    outputs=("fc",),
    counts={"fc": np.array([[[[1]], [[3]]], [[[1]], [[0]]]])},
    synops=np.array([4 * 5 + 4 * 2, 2 * 5 + 1 * 2]),
    spikes={
        "fc": spikes((0, 20, 0), (0, 30, 1), (0, 30, 1), (0, 900, 1), (1, 50, 0)),
        INPUT: spikes((0, 10, 0), (0, 20, 0), (0, 30, 0), (0, 900, 0), (1, 50, 0), (1, 50, 0)),
    },
    aliases={},
    durations_us=np.array([1000, 2000]),
)
"""Sample a answers 0 at 20 us and 1, its label, from 30 us on; sample b answers 0 from 50 us on."""
FIVE, TWO_EACH = np.array([[[5]]]), np.array([[[2]], [[2]]])
ANYTIME = AnyTime(TWO, (FanOut(INPUT, FIVE, np.zeros_like(FIVE)), FanOut("fc", TWO_EACH, np.zeros_like(TWO_EACH))))


def cut(anytime: AnyTime, value: float, cut_us: np.ndarray, name: str = "") -> Point:
    return cut_point(value, [anytime.cut(cut_us)], [anytime.whole], [name])


def test_a_point_after_a_time() -> None:
    found = cut(ANYTIME, 0.03, ANYTIME.after_ms(0.03), "recording-1")  # t < 30 us
    assert (found.right, found.labelled, found.silent) == (0, 2, 1)
    assert found.synops == (2 * 5 + 1 * 2) / 2
    assert (found.events, found.ms) == (1, 0.03)
    assert found.spike_difference == 80  # 4 of 5 spikes are still to come
    assert found.spike_difference_mean == 87.5  # 3 of 4, and 1 of 1
    assert found.agreement == 0
    assert found.recordings == ("recording-1",)


def test_events_of_one_microsecond_stay_together() -> None:
    assert ANYTIME.after_events(1).tolist() == [11, 51]
    found = cut(ANYTIME, 1, ANYTIME.after_events(1), "")
    assert found.events == 1.5  # both events of b at 50 us
    assert found.right == 1
    assert found.synops == (5 + 2 * 5 + 2) / 2
    assert ANYTIME.after_events(3).tolist() == [31, 2000]


def test_the_last_point_is_the_whole_run() -> None:
    found = cut(ANYTIME, 5, ANYTIME.after_ms(5), "")
    assert (found.accuracy, found.spike_difference, found.agreement) == (100, 0, 100)
    assert found.synops == TWO.synops.mean()
    assert found.ms == 1.5


def test_without_the_spikes_of_a_layer_synops_are_not_known() -> None:
    hidden = FanOut("hidden", FIVE, np.zeros_like(FIVE))
    assert cut(AnyTime(TWO, (*ANYTIME.fan_outs, hidden)), 1, np.array([9, 9]), "").synops is None
    assert cut(AnyTime(TWO), 1, np.array([9, 9]), "").synops is None


@pytest.mark.parametrize(
    "lacking",
    [
        replace(TWO, spikes={INPUT: TWO.spikes[INPUT]}),
        replace(TWO, spikes={"fc": TWO.spikes["fc"]}),
        replace(TWO, spikes={**TWO.spikes, "fc": TWO.spikes["fc"][1:]}),
        replace(TWO, durations_us=np.zeros(0, np.int64)),
    ],
)
def test_recordings_that_lack_spikes_are_refused(lacking: Recording) -> None:
    with pytest.raises(InputError, match="any-time"):
        AnyTime(lacking)


def run(program: Program, streams: list[EventStream], rasters: int = 0) -> Recording:
    try:
        return Job("simulator", watch=Watch(rasters=rasters)).run(program, streams, 0, Options())
    except UnsupportedError:
        reject()  # runaway excitation


SPLIT = split_programs().map(lambda pair: pair[1])


@given(st.one_of(programs(), delayed_programs(), leaky_programs(), crossing_programs(), SPLIT), st.data())
def test_a_cut_is_the_run_of_shorter_samples(program: Program, data: st.DataObject) -> None:
    """Counts of the output and synaptic updates, for cuts in time and in events, with events that share a time."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    whole = []
    for number in (0, 12, 30):
        events = np.zeros(number, EVENT)
        events["t"] = np.sort(rng.integers(0, 40, number))
        for axis, size in zip("cyx", program.input_shape, strict=True):
            events[axis] = rng.integers(0, size, number)
        whole.append(EventStream(events, program.input_shape, 60, label=0))
    anytime = AnyTime(run(program, whole, rasters=3), fan_outs(program))
    for cut_us in (anytime.after_ms(0.001), anytime.after_ms(0.02), anytime.after_events(1), anytime.after_events(15)):
        shorter = [
            EventStream(each.events[each.events["t"] < end], each.shape, int(end), label=0)
            for each, end in zip(whole, cut_us, strict=True)
        ]
        wanted, found = run(program, shorter), anytime.until(cut_us)
        assert np.array_equal(found.output_counts, wanted.output_counts)
        assert found.synops.tolist() == wanted.synops.tolist()
        assert anytime.events_before(cut_us).tolist() == [len(each) for each in shorter]


def test_draws_of_a_perturbation_are_one_point() -> None:
    def after(ms: float) -> Recording:
        return ANYTIME.until(ANYTIME.after_ms(ms))

    draws = [point(1, after(ms), TWO, (f"recording-{i}",)) for i, ms in enumerate((5, 0.051, 0.02))]
    found = mean_point(draws)
    assert [each.accuracy for each in draws] == [100, 100, 0]
    assert found.accuracy == pytest.approx(200 / 3, abs=1e-4)
    assert found.range == (0, 100)
    assert found.right == 1
    assert found.draws == 3
    assert found.spike_difference == pytest.approx((0 + 20 + 100) / 3, abs=1e-4)
    assert found.recordings == ("recording-0", "recording-1", "recording-2")


def test_a_recording_without_labels_or_reference() -> None:
    found = point(4, replace(TWO, labels=np.array([-1, -1]), synops=np.zeros(0, np.int64)), None, ())
    assert (found.accuracy, found.interval_95, found.spike_difference, found.synops) == (None, None, None, None)


def test_the_interval_is_wilsons() -> None:
    assert point(4, TWO, None, ()).interval_95 == pytest.approx((34.2372, 100), abs=1e-3)


def test_other_samples_are_refused() -> None:
    with pytest.raises(DeployError, match="sample 0"):
        point(4, replace(TWO, samples=("c", "b")), TWO, ())
