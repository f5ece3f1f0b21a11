from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from helpers.command import invoke, refusal

from deploytool.base.arrays import Shape
from deploytool.base.errors import ArtifactError
from deploytool.base.messages import Messages
from deploytool.data.recordings.classes import Classes
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.streams_file import EVENTS_FILE
from deploytool.recipe import DataSection
from deploytool.store.artifact import Store
from deploytool.store.cache import StageCache
from deploytool.workflow.sources.prepared import streams_of
from deploytool.workflow.sources.samples import SampleSource, dataset
from deploytool.workflow.stored.contents import content_of
from deploytool.workflow.stored.summaries import Summary, summary

SHAPE = (1, 2, 2)


@dataclass
class Set:
    """A data set that counts how often it is read."""

    sizes: Sequence[int] = (3, 1)
    read: int = 0
    source: SampleSource = field(init=False)

    def __post_init__(self) -> None:
        self.source = SampleSource({"set": "own"}, lambda: "f" * 64, self.load, stored=True)

    def load(self, shape: Shape) -> list[EventStream]:
        self.read += 1
        return [EventStream(np.zeros(size, EVENT), shape, 2000, i, f"own/{i}") for i, size in enumerate(self.sizes)]


@pytest.fixture
def cache(tmp_path: Path) -> StageCache:
    messages = Messages(quiet=True)
    return StageCache(Store(tmp_path, messages), messages)


def test_a_data_set_is_read_once(cache: StageCache) -> None:
    own = Set()
    first, second = (streams_of(cache, own.source, SHAPE) for _ in range(2))
    assert own.read == 1
    assert [len(each) for each in first] == [len(each) for each in second] == [3, 1]
    assert [each.name for each in second] == ["own/0", "own/1"]


def test_another_input_and_other_classes_are_other_samples(cache: StageCache) -> None:
    own = Set()
    streams_of(cache, own.source, SHAPE)
    assert streams_of(cache, own.source, (1, 4, 4))[0].shape == (1, 4, 4)
    streams_of(cache, own.source, SHAPE, Classes(2, ("a", "b")))
    assert own.read == 3
    assert len(cache.store.folders("samples")) == 3


@pytest.mark.parametrize("sizes", [(100, 100), (1, 500)], ids=["seen at once", "seen while writing"])
def test_many_events_are_read_every_time(cache: StageCache, sizes: Sequence[int]) -> None:
    own = Set(sizes)
    for _ in range(2):
        found = streams_of(cache, own.source, SHAPE, bytes_max=150 * EVENT.itemsize)
        assert [len(each) for each in found] == list(sizes)
    assert own.read == 2
    assert not cache.store.folders()


def test_a_damaged_artifact_is_refused(cache: StageCache) -> None:
    own = Set()
    streams_of(cache, own.source, SHAPE)
    (folder,) = cache.store.folders("samples")
    (folder / EVENTS_FILE).write_bytes(bytes(4 * EVENT.itemsize - 1) + b"\1")
    with pytest.raises(ArtifactError, match="does not match its SHA-256"):
        streams_of(cache, own.source, SHAPE)


def test_what_show_says_of_samples(cache: StageCache) -> None:
    streams_of(cache, Set().source, SHAPE)
    artifact = cache.store.get("samples@latest")
    assert summary(cache.store, artifact) == Summary(result="2 samples", special="own")
    content = content_of(artifact)
    assert (content["data"], content["samples"], content["events"], content["map"]) == ("own", 2, 4, "1x2x2")
    assert (content["classes"], content["duration_ms"]) == (2, 2.0)


@pytest.mark.parametrize("shape", [(2, 16, 16), (1, 16, 16)])
def test_a_set_on_the_map_of_a_network_is_accepted(shape: Shape) -> None:
    pytest.importorskip("sklearn")
    dataset(DataSection(set="digits"), seed=0).require(shape)


def test_a_set_on_another_map_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr("deploytool.data.sets.table.load_tests", lambda _: pytest.fail("read"))
    told = invoke(tmp_path, "run", "zoo:digits", "--data", "digits", "--pool", "2", "--on", "emulator")
    assert "data.set digits: events on a map of 2x8x8; need 2x16x16" in refusal(told, 5)


def test_an_unknown_target_is_refused_before_the_set_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("deploytool.data.sets.table.fingerprint", lambda *_: pytest.fail("read"))
    assert "no target 'emulatr'" in refusal(
        invoke(tmp_path, "run", "zoo:digits", "--data", "digits", "--on", "emulatr"), 2
    )
