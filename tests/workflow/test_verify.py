"""verify: every file of every kind of artifact, flipped, lost, added and linked, and what was made from it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.command import answer, invoke
from helpers.sweeps import SWEEP
from typer.testing import CliRunner

import deploytool as dt
from deploytool.base.errors import ArtifactError
from deploytool.base.messages import Messages
from deploytool.base.progress import Tick
from deploytool.cli.app import app
from deploytool.ir.recording_file import load_recording
from deploytool.ir.sweep_file import save_sweep
from deploytool.run.jobs.parts import keep
from deploytool.store.artifact import SILENT, Request, Store, open_artifact
from deploytool.store.lineage import names_artifact
from deploytool.store.manifest import KINDS
from deploytool.train.loop.checkpoint import Checkpoint, save_checkpoint
from deploytool.workflow import verify as verifying
from deploytool.workflow.verify import Verified, verify


@pytest.fixture(scope="module")
def full(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with every kind of artifact."""
    root = tmp_path_factory.mktemp("verify") / "full"
    shutil.copytree(made / "store", root)
    program = next(root.glob("program-*"))
    inputs = {"0.0": open_artifact(program).digest}
    Store(root).put(Request("sweep", inputs, {}), lambda folder: save_sweep(SWEEP, folder))
    result = invoke(root.parent, "device", "selftest", "emulator", "--core", "7", "--only", "floor")
    assert result.exit_code == 0, result.output
    (tested,) = (root.parent / "store").glob("selftest-*")
    shutil.copytree(tested, root / tested.name)
    assert {path.name.partition("-")[0] for path in root.iterdir()} == set(KINDS)
    return root


@pytest.fixture
def store(full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, of which what is wrong is looked at once."""
    monkeypatch.setattr(verifying, "PAUSES_S", ())
    return Path(shutil.copytree(full, tmp_path / "store"))


def one(store: Path, kind: str) -> Path:
    return min(store.glob(f"{kind}-*"))


def damaged(found: Verified) -> dict[str, str]:
    return {row["path"]: row["found"] for row in found.as_json()["damaged"]}


def flipped(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << position % 8
    path.write_bytes(content)


def test_a_store_as_it_was_written_is_whole(full: Path) -> None:
    found = verify(full, SILENT)
    assert found.whole
    assert not found.affected
    assert not found.missing
    assert not found.unfinished
    assert not found.others
    assert found.next == []
    files = [path for path in full.rglob("*") if path.is_file()]
    assert (found.artifacts, found.files) == (len(list(full.iterdir())), len(files))
    assert found.size == sum(path.stat().st_size for path in files if path.name != "manifest.json")


def test_every_flipped_byte_is_found_on_use_and_its_file_named(full: Path, tmp_path: Path) -> None:
    """Every byte of every small file, and forty of each larger one."""
    drawn = random.Random(7)
    tried = 0
    for folder in sorted(full.iterdir()):
        copied = shutil.copytree(folder, tmp_path / folder.name)
        for path in sorted(copied.iterdir()):
            original, size = path.read_bytes(), path.stat().st_size
            for position in range(size) if size <= 300 else drawn.sample(range(size), 40):
                flipped(path, position)
                with pytest.raises(ArtifactError, match=path.name):
                    open_artifact(copied)
                path.write_bytes(original)
                tried += 1
        assert open_artifact(copied).name == folder.name
    assert tried > 1200


def test_every_manifest_is_named_if_a_byte_of_it_is_flipped(store: Path) -> None:
    for path in store.glob("*/manifest.json"):
        flipped(path, path.stat().st_size // 2)
    found = verify(store, SILENT)
    assert damaged(found) == {f"{path.name}/manifest.json": "changed" for path in store.iterdir()}


def test_every_file_is_named_if_a_byte_of_it_is_flipped(store: Path) -> None:
    files = sorted(path for path in store.rglob("*") if path.is_file() and path.name != "manifest.json")
    for path in files:
        flipped(path, path.stat().st_size // 2)
    found = verify(store, SILENT)
    assert damaged(found) == {path.relative_to(store).as_posix(): "changed" for path in files}
    assert found.next == [verifying.REMADE]


def test_what_was_made_from_a_damaged_artifact_is_named(store: Path) -> None:
    flipped(one(store, "graph") / "network.nir", 1000)
    graph = one(store, "graph").name
    descendants = {
        path.name
        for path in store.iterdir()
        if path.name.partition("-")[0] in ("program", "verdict", "sweep", "report")
    } | {name for name in (p.name for p in store.glob("recording-*")) if "program" in inputs_of(store / name)}
    found = verify(store, SILENT)
    assert found.affected == {name: [graph] for name in sorted(descendants)}


def inputs_of(folder: Path) -> dict[str, str]:
    stated: dict[str, str] = json.loads((folder / "manifest.json").read_text())["inputs"]
    return stated


def test_origins_that_were_deleted_are_named_and_are_no_damage(store: Path) -> None:
    model = one(store, "model")
    shutil.rmtree(model)
    found = verify(store, SILENT)
    assert found.whole
    of_model = {path.name for path in store.iterdir() if "model" in inputs_of(path)}
    assert found.missing == {name: [f"model {model.name[6:]}"] for name in sorted(of_model)}


def test_the_roles_that_name_artifacts_are_known(full: Path) -> None:
    names = {path.name[-12:] for path in full.iterdir()}
    roles = {(role, digest[:12] in names) for path in full.iterdir() for role, digest in inputs_of(path).items()}
    assert len(roles) >= 6
    assert all(names_artifact(role) == is_there for role, is_there in roles)


@pytest.mark.parametrize(
    ("change", "where", "found"),
    [
        (lambda folder: (folder / "history.json").unlink(), "/history.json", "missing"),
        (lambda folder: (folder / "manifest.json").unlink(), "/manifest.json", "missing"),
        (lambda folder: (folder / "more.json").write_text("{}"), "/more.json", "not listed"),
        (lambda folder: os.mkfifo(folder / "pipe"), "/pipe", "not listed"),
        (lambda folder: (folder / "out").symlink_to("/"), "/out", "not listed"),
        (lambda folder: (folder / "manifest.json").write_text("[" * 100_000), "/manifest.json", "changed"),
        (
            lambda folder: (folder / "manifest.json").write_text('{"schema_version": 9}'),
            "/manifest.json",
            "newer version",
        ),
    ],
)
def test_what_is_lost_or_added_is_named(store: Path, change: Callable[[Path], object], where: str, found: str) -> None:
    model = one(store, "model")
    change(model)
    assert damaged(verify(store, SILENT)) == {f"{model.name}{where}": found}


def test_links_are_not_followed(store: Path, tmp_path: Path) -> None:
    model, graph = one(store, "model"), one(store, "graph")
    model.rename(tmp_path / "model")
    model.symlink_to(tmp_path / "model")
    (graph / "network.nir").rename(tmp_path / "network.nir")
    (graph / "network.nir").symlink_to(tmp_path / "network.nir")
    (store / "elsewhere").symlink_to(tmp_path)
    found = verify(store, SILENT)
    assert damaged(found) == {model.name: "a link", f"{graph.name}/network.nir": "a link"}
    assert found.as_json()["unknown"] == ["elsewhere"]


def test_folders_with_each_others_names_are_found(store: Path) -> None:
    first, second = sorted(store.glob("program-*"))
    first.rename(store / "aside")
    second.rename(first)
    (store / "aside").rename(second)
    found = damaged(verify(store, SILENT))
    assert found == {first.name: f"holds {second.name}", second.name: f"holds {first.name}"}


def test_content_that_is_not_of_its_kind_is_found_behind_right_hashes(store: Path) -> None:
    made = open_artifact(one(store, "graph"))
    request = Request("graph", made.manifest.inputs, made.manifest.recipe)
    fake = Store(store).put(request, lambda folder: (folder / "network.nir").write_bytes(b"no HDF5") and None)
    found = verify(store, SILENT)
    assert damaged(found) == {fake.name: "wrong content"}
    assert f"{fake.name}/network.nir" in found.as_json()["damaged"][0]["says"]


def test_a_file_that_the_manifest_leaves_out_is_named_by_every_command(store: Path) -> None:
    made = open_artifact(one(store, "program"))

    def write(folder: Path) -> None:
        for name in made.manifest.files.keys() - {"program.json"}:
            shutil.copyfile(made.path / name, folder / name)

    fake = Store(store).put(Request("program", made.manifest.inputs, made.manifest.recipe), write)
    shutil.copyfile(made.path / "program.json", fake.path / "program.json")
    for command in (["show", fake.name], ["verify"], ["run", fake.name, "--data", "digits"]):
        result = CliRunner().invoke(app, [*command, "--store", str(store)])
        assert result.exit_code == 4, result.output
        assert "program.json" in result.output
    rows = [(row["path"], row["found"]) for row in verify(store, SILENT).as_json()["damaged"]]
    assert rows == [(f"{fake.name}/program.json", found) for found in ("missing", "not listed")]


def test_kept_samples_are_read_and_drafts_and_locks_are_named(store: Path) -> None:
    work = store / "unfinished" / "0123456789ab"
    recording = load_recording(one(store, "recording"))
    kept, other = (keep(recording, work, first).path for first in (0, len(recording)))
    work.with_suffix(".lock").touch()
    (store / ".model-abcdefgh").mkdir()
    found = verify(store, SILENT)
    assert found.whole
    assert {row["path"]: row["is"] for row in found.as_json()["unfinished"]} == {
        ".model-abcdefgh": "a draft",
        "unfinished/0123456789ab": f"a run to be continued, {2 * len(recording)} samples kept",
        "unfinished/0123456789ab.lock": "a lock",
    }
    flipped(other, 500)
    kept.rename(kept.with_name(kept.name.replace(kept.stem[-16:], "0" * 16)))
    names = sorted(path.name for path in work.iterdir())
    assert damaged(verify(store, SILENT)) == {f"unfinished/0123456789ab/{name}": "changed" for name in names}


def test_a_checkpoint_is_read(store: Path) -> None:
    work = store / "unfinished" / "0123456789ab"
    weights = {"weights/conv": np.arange(60, dtype=np.float32)}
    save_checkpoint(Checkpoint("key", ({"epoch": 1, "loss": 0.5},), weights), work)
    found = verify(store, SILENT)
    assert found.whole
    assert [row["is"] for row in found.as_json()["unfinished"]] == ["a training to be continued"]
    for path in sorted(work.iterdir()):
        original = path.read_bytes()
        for position in np.linspace(0, len(original) - 1, 12).astype(int).tolist():
            flipped(path, position)
            assert damaged(verify(store, SILENT)) == {"unfinished/0123456789ab/checkpoint.json": "changed"}
            path.write_bytes(original)


def test_what_another_process_deletes_or_replaces_meanwhile_is_no_damage(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The artifact goes file by file while its folder is still there; another one is written in its place."""
    monkeypatch.setattr(verifying, "PAUSES_S", (0.0, 0.0))
    gone, replaced = one(store, "model"), one(store, "graph")
    original = (replaced / "network.nir").read_bytes()
    flipped(replaced / "network.nir", 5)
    (gone / "history.json").unlink()

    def meanwhile(_s: float) -> None:
        shutil.rmtree(gone, ignore_errors=True)
        (replaced / "network.nir").write_bytes(original)

    monkeypatch.setattr(verifying.time, "sleep", meanwhile)
    found = verify(store, SILENT)
    assert found.whole
    assert found.artifacts == len(list(store.iterdir()))


def test_no_store_is_no_whole_store(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="nowhere: no such folder; need the folder of a store"):
        verify(tmp_path / "nowhere", SILENT)
    with pytest.raises(ArtifactError, match=rf"an artifact; need the folder of a store. .* deploytool verify {store}"):
        verify(one(store, "model"), SILENT)


def test_progress_counts_the_megabytes_that_are_read(full: Path) -> None:
    ticks: list[tuple[float, int, str]] = []

    class Told(Messages):
        @contextlib.contextmanager
        def progress(self, title: str, unit: str) -> Iterator[Tick]:
            assert (title, unit) == ("verify", "megabyte")
            yield lambda done, total, note: ticks.append((done, total, note))

    verify(full, Told())
    dones = [done for done, _, _ in ticks]
    assert dones == sorted(dones)
    assert {note for _, _, note in ticks} == {path.name for path in full.iterdir()}


def test_the_command_says_it_in_lines_of_60_columns(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    flipped(one(store, "recording") / "recording.npz", 99)
    (configuration,) = store.glob("program-*/configuration.json")
    configuration.unlink()
    result = CliRunner().invoke(app, ["verify", str(store)])
    assert result.exit_code == 4
    lines = result.stdout.splitlines()
    assert lines[0] == "store  damaged, 2 problems"
    assert f"  {one(store, 'recording').name}/recording.npz: changed" in lines
    assert f"  {configuration.parent.name}/configuration.json: missing" in lines
    assert any(line.endswith(f": made from {configuration.parent.name}") for line in lines)
    assert all(len(line) <= 60 for line in lines[: lines.index("next")])
    assert lines[lines.index("next") + 1].startswith("  Delete what is damaged")


def test_the_command_answers_scripts(store: Path) -> None:
    whole = answer(CliRunner().invoke(app, ["verify", "--store", str(store), "--json"]))
    assert whole["whole"] is True
    assert whole["damaged"] == whole["next"] == []
    flipped(one(store, "verdict") / "verdict.json", 5)
    found = answer(CliRunner().invoke(app, ["verify", str(store), "--json"]), 4)
    (row,) = found["damaged"]
    assert row["path"] == f"{one(store, 'verdict').name}/verdict.json"
    assert row["says"].startswith(f"{store}/{row['path']}: its content does not match its SHA-256; need")
    assert found["affected"] == [{"artifact": one(store, "report").name, "made_from": [one(store, "verdict").name]}]


def test_two_stores_are_one_too_many(store: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["verify", str(store), "--store", str(tmp_path)])
    assert result.exit_code == 2
    assert "need one of the two" in result.stderr


def test_a_script_verifies_a_store(store: Path) -> None:
    found = dt.verify(store)
    assert found
    assert repr(found) == f"Verification(whole, {len(list(store.iterdir()))} artifacts)"
    flipped(one(store, "verdict") / "verdict.json", 5)
    found = dt.verify(store)
    assert not found
    assert found.affected == (one(store, "report").name,)
    assert [row["found"] for row in found.rows()] == ["changed"]
    assert found.problems[0].startswith(f"{one(store, 'verdict')}/verdict.json: its content does not match")
