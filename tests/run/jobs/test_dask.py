"""Runs spread over Dask workers: bit-identical, and a worker that is killed loses nothing that was finished."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import pickle
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from contract import stream, two_neurons
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.base.errors import InputError, TargetError, UsageError
from deploytool.base.progress import no_progress
from deploytool.chip.chips import CHIPS
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Input, Output, Spike
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording
from deploytool.ir.recording_file import write_recording
from deploytool.ir.target import Watch
from deploytool.map.compile import compile_graph
from deploytool.run.jobs.dask import NO_DASHBOARD, on_workers, pack, stretches, unpack
from deploytool.run.jobs.job import Job
from deploytool.run.jobs.perturbation import Perturbation
from deploytool.run.jobs.resume import in_this_process, run_job
from deploytool.run.jobs.workers import Workers
from deploytool.run.targets.options import Options

OPTIONS = Options(lambda _: {})


def slow_program() -> Program:
    """Two layers that take a millisecond or so for `many_events`."""
    rng = np.random.default_rng(1)

    def weight(*shape: int) -> np.ndarray:
        return rng.normal(0.1, 0.3, shape).astype(np.float32)

    nodes = [
        ("in", Input((2, 34, 34))),
        ("conv1", Conv(weight(8, 2, 3, 3), padding=(1, 1))),
        ("if1", Spike(floor=-1.0)),
        ("conv2", Conv(weight(16, 8, 3, 3), padding=(1, 1))),
        ("if2", Spike(floor=-1.0)),
        ("out", Output()),
    ]
    return compile_graph(chain(nodes), CHIPS["speck2e"]).program


def many_events() -> EventStream:
    rng = np.random.default_rng(2)
    events = np.zeros(4000, EVENT)
    events["t"] = np.sort(rng.integers(0, 300_000, 4000))
    for axis, size in zip("cyx", (2, 34, 34), strict=True):
        events[axis] = rng.integers(0, size, 4000)
    return EventStream(events, (2, 34, 34), 300_000)


def stored(recording: Recording) -> bytes:
    buffer = io.BytesIO()
    write_recording(recording, buffer)
    return buffer.getvalue()


@settings(max_examples=50)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 9))
def test_stretches_cover_the_spans(first: int, length: int, size: int) -> None:
    streams = [stream([0], name=f"s{i}") for i in range(first + length + 3)]
    found = list(stretches(streams, [(first, first + length)], size))
    names = [each.name for _, part in found for each in part]
    assert names == [f"s{i}" for i in range(first, first + length)]
    assert all(len(part) <= size for _, part in found)
    assert all(part[0].name == f"s{start}" for start, part in found if part)


def test_stretches_of_long_samples_are_short() -> None:
    streams = [stream([0] * 3), stream([0] * 3), stream([0] * 9), stream([0])]
    assert [(first, len(part)) for first, part in stretches(streams, [(0, 4)], 4, events_max=5)] == [
        (0, 2),
        (2, 1),
        (3, 1),
    ]


def test_a_job_travels_unchanged() -> None:
    job = Job("emulator", None, Watch(("fc",), 3, True), Perturbation(drop=0.1, seed=4))
    packed = pickle.loads(pickle.dumps(pack(job, two_neurons())))
    assert packed.job == job
    assert unpack(packed).digest == two_neurons().digest


def test_an_error_travels_with_all_its_problems() -> None:
    error = InputError.together([InputError("a", "b", "c", "d."), InputError("e", "f")])
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is InputError
    assert found.problems == error.problems
    assert str(found) == str(error)


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'deploytool\[cluster\]'"):
        on_workers(Workers("local"), 1, no_progress)


def test_a_board_cannot_be_spread(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    perform = on_workers(Workers("local"), 1, no_progress)
    with pytest.raises(UsageError, match="given with --on speck2edevkit:0; need --on quantised, simulator or emulator"):
        run_job(Job("speck2edevkit:0"), two_neurons(), [stream([0])], tmp_path, perform)


def test_no_scheduler_there(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    perform = on_workers(Workers("tcp://127.0.0.1:1"), 1, no_progress, connect_s=0.3)
    with pytest.raises(TargetError, match="need a Dask scheduler that responds"):
        run_job(Job("emulator"), two_neurons(), [stream([0])], tmp_path, perform)


def test_two_local_clusters_do_not_take_one_port(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with socket.socket() as taken:
        with contextlib.suppress(OSError):
            taken.bind(("", 8787))
            taken.listen()
        found = run_job(
            Job("emulator"), two_neurons(), [stream([0] * 5)], tmp_path, on_workers(Workers("local:1"), 1, no_progress)
        )
    assert found.output_counts.tolist() == [[3, 0]]


@pytest.fixture
def two_workers() -> Iterator[object]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, silence_logs=50, **NO_DASHBOARD) as found:
        yield found


def test_a_killed_worker_loses_nothing_and_no_finished_stretch_is_run_again(two_workers, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    job, program = Job("emulator", watch=Watch(rasters=2)), slow_program()
    streams = [many_events()] * 160
    wanted = stored(run_job(job, program, streams, tmp_path / "local", in_this_process(OPTIONS)))
    before_kill: list[str] = []

    def tick(*_: object) -> None:
        parts = sorted(path.name for path in (tmp_path / "spread").glob("*.npz"))
        if not before_kill and len(parts) >= 3:
            before_kill.extend(parts)
            busy = [each for each in two_workers.scheduler.workers.values() if each.processing]
            pid = next(
                each.process.pid for each in two_workers.workers.values() if each.worker_address == busy[0].address
            )
            os.kill(pid, signal.SIGKILL)

    perform = on_workers(Workers(two_workers.scheduler_address), 1, tick)
    found = run_job(job, program, streams, tmp_path / "spread", perform)
    assert stored(found) == wanted
    moves = [row for row in two_workers.scheduler.transition_log if str(row[0]).startswith("samples-")]
    ran = Counter(tuple(map(int, row[0].split("-")[2:])) for row in moves if row[1:3] == ("processing", "memory"))
    arrived = [tuple(map(int, Path(name).stem.split("-")[:2])) for name in before_kill]
    assert len(ran) == 16
    assert [ran[span] for span in arrived] == [1] * len(arrived)
    assert any(row[1] == "processing" and row[2] != "memory" for row in moves), "no stretch was lost with the worker"
