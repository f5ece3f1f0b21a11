"""Manifests: the time of creation is verified and is no part of the name, and older manifests are read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from deploytool.base.digest import digest
from deploytool.base.errors import ArtifactError
from deploytool.base.json_text import canonical_json
from deploytool.base.messages import Messages
from deploytool.store import manifest as manifests
from deploytool.store.artifact import Artifact, Request, Store, open_artifact
from deploytool.store.file_names import CONFIGURATION
from deploytool.store.manifest import FILE, Kind, read_manifest

TIMES = tuple(f"2026-11-28T18:0{minute}:00.000001Z" for minute in range(6))


def put(store: Store, number: int, kind: Kind = "model", files: tuple[str, ...] = ("a",), **inputs: str) -> Artifact:
    def write(folder: Path) -> None:
        for name in files:
            (folder / name).write_text(str(number))

    return store.put(Request(kind, inputs, {"number": number}), write)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the time of creation of what is stored next."""
    return lambda time: monkeypatch.setattr(manifests, "_now", lambda: time)


def as_version_1(artifact: Artifact, second: int) -> None:
    """Rewrites the manifest of ``artifact`` as version 1 did, with a file time."""
    values = json.loads((artifact.path / FILE).read_text())
    del values["created"], values["created_check"], values["digest"]
    values["schema_version"] = 1
    values["digest"] = digest(canonical_json(values))
    assert values["digest"] == artifact.digest
    (artifact.path / FILE).write_text(canonical_json(values))
    os.utime(artifact.path, (second, second))


def test_the_time_is_in_the_manifest_and_not_in_the_name(tmp_path: Path, at: Any) -> None:
    at(TIMES[0])
    first = put(Store(tmp_path / "a"), 1)
    at(TIMES[1])
    second = put(Store(tmp_path / "b"), 1)
    assert first.name == second.name
    assert [artifact.manifest.created for artifact in (first, second)] == [*TIMES[:2]]
    assert open_artifact(second.path) == second


def test_the_clock_is_utc_with_microseconds(tmp_path: Path) -> None:
    created = put(Store(tmp_path), 1).manifest.created
    assert created is not None
    assert manifests.stated_time({"created": created}) == created


def test_an_artifact_that_is_made_again_keeps_its_time(tmp_path: Path, at: Any) -> None:
    store = Store(tmp_path)
    at(TIMES[0])
    made = put(store, 1)
    at(TIMES[1])
    assert put(store, 1) == made


@pytest.mark.parametrize(
    "change",
    [
        {"created": TIMES[1]},
        {"created": "2026-11-28"},
        {"created": None},
        {"created_check": "0" * 16},
        {"created_check": None},
        {"schema_version": 1},
        {"schema_version": 0},
        {"schema_version": True},
        {"made_by": "deploytool 0"},
    ],
)
def test_a_changed_manifest_is_damaged(tmp_path: Path, at: Any, change: dict[str, Any]) -> None:
    at(TIMES[0])
    made = put(Store(tmp_path), 1)
    values = json.loads((made.path / FILE).read_text())
    (made.path / FILE).write_text(canonical_json({**values, **change}))
    with pytest.raises(ArtifactError, match="does not match its digest"):
        open_artifact(made.path)
    for name in ("created", "created_check"):
        less = {key: value for key, value in values.items() if key != name}
        (made.path / FILE).write_text(canonical_json(less))
        with pytest.raises(ArtifactError, match="does not match its digest"):
            open_artifact(made.path)


def test_a_manifest_of_version_1_is_read_and_found(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = put(store, 1)
    as_version_1(made, 1000)
    found = store.find(Request("model", {}, {"number": 1}))
    assert found is not None
    assert (found.name, found.manifest.created, found.manifest.schema_version) == (made.name, None, 1)
    content = (made.path / FILE).read_bytes()
    for position in range(len(content)):
        changed = content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
        (made.path / FILE).write_bytes(changed)
        with pytest.raises(ArtifactError, match=FILE):
            open_artifact(made.path)


def test_the_newest_is_the_one_whose_manifest_says_so(tmp_path: Path, at: Any) -> None:
    store = Store(tmp_path)
    made = []
    for number, time in enumerate((TIMES[2], TIMES[0], TIMES[1])):
        at(time)
        made.append(put(store, number))
        os.utime(made[-1].path, (2000 + number, 2000 + number))
    assert [path.name for path in store.folders()] == [made[0].name, made[2].name, made[1].name]
    assert store.get("model@latest") == made[0]


def test_of_two_artifacts_for_one_request_the_newest_is_found(tmp_path: Path, at: Any) -> None:
    store, request = Store(tmp_path), Request("model", {}, {})
    made = []
    for time, text in ((TIMES[1], "a"), (TIMES[0], "b"), (TIMES[2], "c"), (TIMES[1], "d")):
        at(time)
        made.append(store.put(request, lambda folder, text=text: (folder / "a").write_text(text) and None))
    assert store.find(request) == made[2]


def test_artifacts_without_a_time_are_older_and_in_the_order_of_file_times(tmp_path: Path, at: Any) -> None:
    store = Store(tmp_path)
    at(TIMES[0])
    dated, older, oldest = (put(store, number) for number in range(3))
    as_version_1(older, 3_000_000_000)
    as_version_1(oldest, 2_000_000_000)
    assert [path.name for path in store.folders()] == [dated.name, older.name, oldest.name]


def test_equal_times_are_ordered_by_name(tmp_path: Path, at: Any) -> None:
    store = Store(tmp_path)
    at(TIMES[0])
    names = [put(store, number).name for number in range(5)]
    assert [path.name for path in store.folders()] == sorted(names, reverse=True)


def test_latest_is_said_once(tmp_path: Path, at: Any, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path, Messages())
    at(TIMES[0])
    made = put(store, 1)
    assert store.get("model@latest") == store.get("model") == made
    store.get(made.name)
    assert capsys.readouterr().err == f"model@latest is {made.name}\n"


def test_the_program_for_the_chip_is_preferred_to_the_simulators_of_the_same_graph(
    tmp_path: Path, at: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path, Messages())
    made = []
    for number, (graph, files) in enumerate(
        [("g1", ("a", CONFIGURATION)), ("g1", ("a", CONFIGURATION)), ("g2", ("a", CONFIGURATION)), ("g1", ("a",))]
    ):
        at(TIMES[number])
        made.append(put(store, number, "program", files, graph=graph))
    assert store.get("program@latest") == made[1]
    says = f"program@latest is {made[1].name}, which is for a chip; "
    assert capsys.readouterr().err == f"{says}the newer {made[3].name} of the same graph is for the simulator\n"
    assert store.get("program@latest", "program", for_chip=False) == made[3]
    at(TIMES[4])
    other = put(store, 4, "program", graph="g3")
    assert store.get("program@latest") == other
    at(TIMES[5])
    newest = put(store, 5, "program", ("a", CONFIGURATION), graph="g3")
    assert store.get("program@latest") == newest


MACHINE = {"processor": "a CPU", "instructions": "AVX2", "threads": 2, "python": "3.11.7", "torch": "2.4.0"}
ASKED = Request("model", {}, {})


def write_weights(folder: Path) -> None:
    (folder / "weights").write_bytes(b"1")


def test_the_machine_is_apart_from_the_name(tmp_path: Path) -> None:
    plain, stated = (
        Store(tmp_path / "a").put(ASKED, write_weights),
        Store(tmp_path / "b").put(ASKED, write_weights, {"machine": MACHINE}),
    )
    assert stated.digest == plain.digest
    assert stated.name == plain.name
    assert (plain.manifest.schema_version, stated.manifest.schema_version) == (2, 3)
    assert read_manifest(stated.path).machine == MACHINE
    assert read_manifest(plain.path).machine is None


@pytest.mark.parametrize(
    ("old", "new"),
    [('"threads": 2', '"threads": 1'), ('"schema_version": 3', '"schema_version": 2'), ("AVX2", "AVX1")],
)
def test_a_changed_machine_is_found(tmp_path: Path, old: str, new: str) -> None:
    path = Store(tmp_path).put(ASKED, write_weights, {"machine": MACHINE}).path
    text = (path / "manifest.json").read_text()
    assert old in text
    (path / "manifest.json").write_text(text.replace(old, new))
    with pytest.raises(ArtifactError, match="its content does not match its digest"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"network": "abc"', '"network": "abd"'),
        ('"schema_version": 4', '"schema_version": 2'),
        ('"network": "abc",\n', ""),
    ],
)
def test_a_changed_network_is_found(tmp_path: Path, old: str, new: str) -> None:
    path = Store(tmp_path).put(Request("program", {}, {}), write_weights, {"network": "abc"}).path
    assert read_manifest(path).network == "abc"
    text = (path / "manifest.json").read_text()
    assert old in text
    (path / "manifest.json").write_text(text.replace(old, new))
    with pytest.raises(ArtifactError, match="its content does not match its digest"):
        read_manifest(path)
