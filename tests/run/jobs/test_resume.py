"""Runs that are cut short: nothing finished is lost or made twice, and the result is the uninterrupted one."""

from __future__ import annotations

import io
import math
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from contract import stream, two_neurons
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.base.errors import ArtifactError
from deploytool.ir.counts import Counts
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording
from deploytool.ir.recording_file import write_recording
from deploytool.ir.target import Watch
from deploytool.run.jobs import resume
from deploytool.run.jobs.job import Job
from deploytool.run.jobs.parts import keep
from deploytool.run.jobs.perturbation import Perturbation
from deploytool.run.jobs.resume import Span, finished, gaps, in_this_process, run_job
from deploytool.run.targets.options import Options

OPTIONS = Options(lambda _: {})
PROGRAM = two_neurons()
TOTAL = 12


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples in progress are finished, also where loops are compiled first on a busy machine."""
    monkeypatch.setattr(resume, "FINISH_S", 200.0)


class Interrupting(Sequence[EventStream]):
    """``TOTAL`` samples; taking number ``at`` sends the process a SIGINT. It counts what was taken."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.taken: list[int] = []

    def __len__(self) -> int:
        return TOTAL

    def __getitem__(self, index: int) -> EventStream:  # type: ignore[override]
        self.taken.append(index)
        if index == self.at:
            os.kill(os.getpid(), signal.SIGINT)
        return stream([0, 1] * (index + 1), name=f"s{index}", label=index)


def stored(recording: Recording) -> bytes:
    buffer = io.BytesIO()
    write_recording(recording, buffer)
    return buffer.getvalue()


JOBS = [
    Job("emulator", watch=Watch(rasters=5)),
    Job("simulator", watch=Watch(extremes=True)),
    Job("quantised", time_steps=4, watch=Watch(rasters=20)),
    Job("emulator", perturbation=Perturbation(drop=0.3, threshold=0.1, order=3000)),
]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.on)
@pytest.mark.parametrize("at", [0, 4, TOTAL - 1])
def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path, job: Job, at: int) -> None:
    whole = run_job(job, PROGRAM, Interrupting(), tmp_path / "whole", in_this_process(OPTIONS))
    with pytest.raises(KeyboardInterrupt):
        run_job(job, PROGRAM, Interrupting(at), tmp_path / "cut", in_this_process(OPTIONS))
    kept = finished(tmp_path / "cut")
    assert kept == at + 1
    rest = Interrupting()
    assert stored(run_job(job, PROGRAM, rest, tmp_path / "cut", in_this_process(OPTIONS))) == stored(whole)
    assert rest.taken == list(range(kept, TOTAL))
    assert not (tmp_path / "whole").exists()


def test_long_runs_are_written_as_they_go(tmp_path: Path) -> None:
    ticks: list[tuple[int, int]] = []
    options = Options(lambda _: {}, tick=lambda done, total, _: ticks.append((done, total)))
    whole = run_job(JOBS[0], PROGRAM, Interrupting(), tmp_path, in_this_process(options, part_s=-1.0))
    assert len(list(tmp_path.glob("*.npz"))) == TOTAL
    assert ticks == [(i + 1, TOTAL) for i in range(TOTAL)]
    assert stored(run_job(JOBS[0], PROGRAM, Interrupting(), tmp_path / "other", in_this_process(OPTIONS))) == stored(
        whole
    )
    again = Interrupting()
    assert stored(run_job(JOBS[0], PROGRAM, again, tmp_path, in_this_process(OPTIONS))) == stored(whole)
    assert again.taken == []


def test_a_second_interruption_stops_at_once_and_the_handler_goes(tmp_path: Path) -> None:
    class Impatient(Interrupting):
        def __getitem__(self, index: int) -> EventStream:  # type: ignore[override]
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError("not reached")

    before = signal.getsignal(signal.SIGINT)
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run_job(JOBS[0], PROGRAM, Impatient(), tmp_path, in_this_process(OPTIONS, told.append))
    assert signal.getsignal(signal.SIGINT) is before
    assert len(told) == 1
    assert finished(tmp_path) == 0


def test_a_run_of_nothing(tmp_path: Path) -> None:
    recording = run_job(JOBS[0], PROGRAM, [], tmp_path, in_this_process(OPTIONS))
    assert len(recording) == 0


@settings(max_examples=100)
@given(st.sets(st.integers(0, 15)), st.integers(0, 15))
def test_gaps_are_what_is_missing(cuts: set[int], total: int) -> None:
    ends = sorted({cut for cut in cuts if cut <= total} | {0, total})
    spans: list[Span] = list(zip(ends[:-1:2], ends[1::2], strict=False))
    covered = {i for first, stop in spans for i in range(first, stop)}
    missing = [i for first, stop in gaps(spans, total) for i in range(first, stop)]
    assert missing == [i for i in range(total) if i not in covered]


def test_parts_may_arrive_in_any_order(tmp_path: Path) -> None:
    def backwards(
        job: Job, program: Program, streams: Sequence[EventStream], spans: Sequence[Span]
    ) -> Iterator[tuple[int, Recording]]:
        for first in reversed(range(*spans[0])):
            yield first, job.run(program, [streams[first]], first, OPTIONS)

    whole = run_job(JOBS[0], PROGRAM, Interrupting(), tmp_path / "a", in_this_process(OPTIONS))
    assert stored(run_job(JOBS[0], PROGRAM, Interrupting(), tmp_path / "b", backwards)) == stored(whole)


def cut_short(folder: Path) -> list[Path]:
    """The files of a run that was interrupted after samples 0 to 4, in one part per sample."""
    with pytest.raises(KeyboardInterrupt):
        run_job(JOBS[0], PROGRAM, Interrupting(4), folder, in_this_process(OPTIONS, part_s=-1.0))
    return sorted(folder.iterdir())


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("place", [0, 100, -1])
def test_a_part_with_a_flipped_bit_runs_again(tmp_path: Path, place: int) -> None:
    whole = run_job(JOBS[0], PROGRAM, Interrupting(), tmp_path / "whole", in_this_process(OPTIONS))
    parts = cut_short(tmp_path / "cut")
    assert [path.name[:19] for path in parts] == [f"{i:09}-{i + 1:09}" for i in range(5)]
    flip(parts[2], place)
    rest, told = Interrupting(), list[str]()
    found = run_job(JOBS[0], PROGRAM, rest, tmp_path / "cut", in_this_process(OPTIONS), told.append)
    assert told == [f"{parts[2].name} is damaged: its samples run again"]
    assert rest.taken == [2, *range(5, TOTAL)]
    assert stored(found) == stored(whole)


def test_parts_that_overlap_count_once(tmp_path: Path) -> None:
    whole = run_job(JOBS[0], PROGRAM, Interrupting(), tmp_path / "whole", in_this_process(OPTIONS))
    cut_short(tmp_path / "cut")
    streams = Interrupting()
    for first, stop in ((0, 3), (3, 7)):
        keep(JOBS[0].run(PROGRAM, [streams[i] for i in range(first, stop)], first, OPTIONS), tmp_path / "cut", first)
    found = run_job(JOBS[0], PROGRAM, Interrupting(), tmp_path / "cut", in_this_process(OPTIONS))
    assert found.samples == whole.samples
    assert stored(found) == stored(whole)


def test_files_that_are_no_parts_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "000000000-000000003.npz").write_bytes(b"no zip")
    assert finished(tmp_path) == 0
    assert len(run_job(JOBS[0], PROGRAM, Interrupting(), tmp_path, in_this_process(OPTIONS))) == TOTAL


@pytest.mark.parametrize("span", [(TOTAL, TOTAL + 1), (3, TOTAL + 1), (5, 2), (10**40, 10**40 + 1)])
def test_parts_of_samples_that_are_not_there_are_not_used(tmp_path: Path, span: Span) -> None:
    whole = run_job(JOBS[0], PROGRAM, Interrupting(), tmp_path / "whole", in_this_process(OPTIONS))
    for path in cut_short(tmp_path / "cut")[3:]:
        path.rename(path.with_name(f"{span[0]:09}-{span[1]:09}{path.stem[19:]}.npz"))
    found = run_job(JOBS[0], PROGRAM, Interrupting(), tmp_path / "cut", in_this_process(OPTIONS))
    assert stored(found) == stored(whole)


@pytest.mark.parametrize(
    ("job", "samples", "sentence"),
    [(JOBS[1], 2, "of another run than the parts before"), (JOBS[0], 3, "3 samples; need 2, as its name says")],
)
def test_an_intact_part_of_another_run_is_refused_by_name(
    tmp_path: Path, job: Job, samples: int, sentence: str
) -> None:
    cut_short(tmp_path)
    part = keep(job.run(PROGRAM, [Interrupting()[i] for i in range(5, 5 + samples)], 5, OPTIONS), tmp_path, 5)
    part.path.rename(part.path.with_name(f"{5:09}-{7:09}-{part.digest}.npz"))
    with pytest.raises(ArtifactError, match=sentence) as refused:
        run_job(JOBS[0], PROGRAM, Interrupting(), tmp_path, in_this_process(OPTIONS))
    assert f"{5:09}-{7:09}-{part.digest}.npz" in str(refused.value)


def test_parts_are_of_bounded_size_and_stay_on_disk(tmp_path: Path) -> None:
    neurons = sum(math.prod(PROGRAM.map_of(name)) for name in PROGRAM.parts)
    found = run_job(JOBS[1], PROGRAM, Interrupting(), tmp_path, in_this_process(OPTIONS, part_counts=3 * neurons + 1))
    assert [path.name[:19] for path in sorted(tmp_path.iterdir())] == [f"{i:09}-{i + 3:09}" for i in range(0, TOTAL, 3)]
    assert all(isinstance(maps, Counts) for maps in found.counts.values())
    whole = run_job(JOBS[1], PROGRAM, Interrupting(), tmp_path / "whole", in_this_process(OPTIONS))
    assert stored(found) == stored(whole)


def test_events_out_of_range_are_an_error(tmp_path: Path) -> None:
    wrong = EventStream(np.array([(0, 0, 0, 0)], EVENT), (3, 1, 1), 10, name="wrong.bin")
    with pytest.raises(Exception, match=r"wrong\.bin"):
        run_job(JOBS[0], PROGRAM, [wrong], tmp_path, in_this_process(OPTIONS))
