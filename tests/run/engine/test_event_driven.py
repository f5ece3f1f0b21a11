"""The engine equals the executable specification event for event, on any number of threads and in any chunks."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from helpers.layers import make_layer
from helpers.programs import assert_same, fast, programs, streams, warm_up
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.base.progress import no_progress
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program, Route
from deploytool.ir.target import Watch
from deploytool.run.engine import event_driven as engine
from deploytool.run.engine.counted import Counted
from deploytool.run.reference.specification import run_reference
from deploytool.run.targets.options import DEFAULTS, Options
from deploytool.run.targets.table import make_target


def dense(**changes: object) -> Program:
    """A layer in which every event makes all 3,200 neurons fire at first, more than a buffer begins with."""
    weights = np.full((32, 1, 19, 19), 90, np.int8)
    layer = make_layer(weights, 5, (1, 10, 10), (32, 10, 10), (), padding=(9, 9), **{"reset": "subtract"} | changes)
    return Program("simulator", "int8/int16", (1, 10, 10), (Route("all"),), {"all": layer}, ("all",), "")


@pytest.mark.parametrize("at_most_one", [True, False])
def test_buffers_grow(at_most_one: bool) -> None:
    events = np.zeros(3, EVENT)
    events["t"] = [1, 2, 3]
    program, stream = dense(at_most_one=at_most_one), EventStream(events, (1, 10, 10), 4)
    found = fast(program, stream, vectors=False)
    assert len(found.spikes["all"]) == (3 * 3200 if at_most_one else 3 * 3200 * 18)
    assert_same(found, run_reference(program, stream))


def test_integers_saturate_and_the_extremes_say_so() -> None:
    layer = make_layer(np.array([[[[127]]], [[[-128]]]], np.int8), 1, (1, 1, 1), (2, 1, 1), ())
    program = Program("simulator", "int8/int16", (1, 1, 1), (Route("fc"),), {"fc": layer}, ("fc",), "")
    events = np.zeros(400, EVENT)
    events["t"] = np.arange(400)
    stream = EventStream(events, (1, 1, 1), 400)
    found = fast(program, stream, vectors=False)
    assert found.extremes == {"fc": (-32768, 32767)}
    assert_same(found, run_reference(program, stream))


@given(st.data())
@settings(max_examples=10)
def test_threads_do_not_show_and_samples_stay_in_order(data: st.DataObject) -> None:
    program = data.draw(programs())
    samples = data.draw(st.lists(streams(program.input_shape), min_size=1, max_size=12))
    ticks: list[tuple[int, int]] = []
    options = Options(threads=3, tick=lambda done, total, _: ticks.append((done, total)))
    alone, shared = (
        make_target("simulator", each).run(program, samples, Watch(rasters=3)) for each in (DEFAULTS, options)
    )
    assert [tick for tick in ticks if tick[0] and tick[0] == int(tick[0])] == [
        (i + 1, len(samples)) for i in range(len(samples))
    ]
    assert alone.samples == shared.samples
    assert np.array_equal(alone.synops, shared.synops)
    for name in program.layers:
        assert np.array_equal(alone.counts[name], shared.counts[name])
        assert np.array_equal(alone.spikes[name], shared.spikes[name])


def test_streams_are_taken_as_they_are_needed() -> None:
    taken = 0

    def endless() -> object:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    results = engine.in_order(lambda item: item[1], endless(), threads=2, counted=Counted(no_progress, 0))
    assert [next(results) for _ in range(3)] == [1, 2, 3]
    assert taken < 10
    results.close()


IN_A_SECOND_PROCESS = """
from deploytool.base.compiled import compilations
from helpers.programs import warm_up
warm_up()
print(compilations())
"""


def test_a_second_process_compiles_nothing() -> None:
    warm_up()
    path = [entry for entry in sys.path if entry]
    code = f"import sys; sys.path[:0] = {path!r}\n{IN_A_SECOND_PROCESS}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


MEMORY = """
import resource, sys
import numpy as np
from helpers.programs import warm_up
from deploytool.bench.speed.networks import NMNIST, NMNIST_NETWORK, network, random_stream
from deploytool.ir.target import Watch
from deploytool.run.targets.options import Options
from deploytool.run.targets.table import make_target

program = network(NMNIST, NMNIST_NETWORK, "int8/int16", random_stream(NMNIST, 1000))
target, short = make_target("simulator", Options(threads=2)), random_stream(NMNIST, 10)
target.run(program, [random_stream(NMNIST, 10)])
long = random_stream(NMNIST, int(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
target.run(program, [long], Watch(layers=()))
target.run(program, (short for _ in range(int(sys.argv[2]))), Watch(layers=()))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_memory_grows_neither_with_the_length_of_a_sample_nor_with_the_engine_s_batches() -> None:
    """At most 60 MB beside the libraries and the events; 20,000 results of ten outputs are among them."""
    path = [entry for entry in sys.path if entry]
    code = f"import sys; sys.path[:0] = {path!r}\n{MEMORY}"
    command = [sys.executable, "-c", code, "1000000", "20000"]
    assert float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) < 60
