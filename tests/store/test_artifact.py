import errno
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from deploytool.base.errors import ArtifactError
from deploytool.base.json_text import canonical_json
from deploytool.base.tensors import write_tensors
from deploytool.store.artifact import Artifact, Request, Store, open_artifact
from deploytool.store.manifest import FILE as MANIFEST
from deploytool.store.manifest import KINDS, new_manifest

RECIPE = {"train": {"time_steps": 1}}


def write(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "history.json").write_text("[]")


def request(**recipe: object) -> Request:
    return Request("model", {"data": "d"}, recipe or RECIPE)


def put(store: Store, **recipe: object) -> Artifact:
    return store.put(request(**recipe), write)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_the_same_key_returns_the_stored_artifact(store: Store) -> None:
    assert store.find(request()) is None
    made = put(store)
    assert store.find(request()) == made
    assert Request("model", {"data": "other"}, RECIPE).key != made.manifest.key == request().key


def test_equal_content_has_an_equal_digest_everywhere(tmp_path: Path) -> None:
    assert put(Store(tmp_path / "a")).digest == put(Store(tmp_path / "b")).digest
    assert put(Store(tmp_path / "a")).digest != put(Store(tmp_path / "a"), epochs=2).digest


def test_every_flipped_byte_is_found_and_its_file_named(store: Store) -> None:
    made = put(store)
    for path in sorted(made.path.iterdir()):
        original = path.read_bytes()
        for position in range(len(original)):
            path.write_bytes(original[:position] + bytes([original[position] ^ 1]) + original[position + 1 :])
            with pytest.raises(ArtifactError, match=path.name):
                open_artifact(made.path)
        path.write_bytes(original)
    assert open_artifact(made.path) == made


def test_folders_that_change_names_are_found(store: Store) -> None:
    one, other = put(store), put(store, epochs=2)
    aside = store.root / "aside"
    one.path.rename(aside)
    other.path.rename(one.path)
    aside.rename(other.path)
    with pytest.raises(ArtifactError, match=f"{one.name}: holds {other.name}; need a folder with the name of its"):
        store.by_digest(one.digest)
    shutil.copytree(one.path, store.root / "model-copy")
    with pytest.raises(ArtifactError, match=f"model-copy: holds {other.name}"):
        store.get("model-copy")
    shutil.copytree(one.path, store.root / "mine")
    assert store.get(str(store.root / "mine")).digest == other.digest


def test_no_link_leads_out_of_an_artifact(store: Store, tmp_path: Path) -> None:
    made = put(store)
    (made.path / "history.json").rename(tmp_path / "history.json")
    (made.path / "history.json").symlink_to(tmp_path / "history.json")
    with pytest.raises(ArtifactError, match=r"history.json: a link; need the file itself"):
        open_artifact(made.path)
    (made.path / "history.json").unlink()
    (tmp_path / "history.json").rename(made.path / "history.json")
    made.path.rename(tmp_path / "elsewhere")
    made.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="a link; need the file itself"):
        open_artifact(made.path)


@pytest.mark.parametrize("name", ["../../etc/hostname", "/etc/hostname", "a/../b", "./a", "", ".", "a\0b", "a//b"])
def test_a_manifest_lists_files_inside_its_folder_only(name: str) -> None:
    with pytest.raises(ValidationError):
        new_manifest({"kind": "model", "key": "k", "inputs": {}, "files": {name: "0" * 64}, "recipe": {}})


def test_artifacts_follow_the_umask(store: Store) -> None:
    before = os.umask(0o077)
    try:
        made = put(store)
    finally:
        os.umask(before)
    assert made.path.stat().st_mode & 0o777 == 0o700


def test_an_artifact_from_elsewhere_is_kept_as_a_whole_copy(store: Store, tmp_path: Path) -> None:
    elsewhere = put(Store(tmp_path / "elsewhere"))
    kept = store.adopt(elsewhere)
    assert kept == open_artifact(store.root / elsewhere.name)
    assert kept.manifest == elsewhere.manifest
    assert store.adopt(elsewhere) == kept
    assert list(store.root.iterdir()) == [kept.path]


def test_a_missing_file_is_named(store: Store) -> None:
    made = put(store)
    (made.path / "history.json").unlink()
    with pytest.raises(ArtifactError, match=r"history\.json: missing"):
        store.get(made.name)


def test_a_json_file_that_an_artifact_does_not_have_is_none(store: Store) -> None:
    made = put(store)
    assert made.read_json("history.json") == []
    assert made.read_json("splits.json") is None


def test_a_newer_schema_is_refused(store: Store) -> None:
    made = put(store)
    values = json.loads((made.path / MANIFEST).read_text()) | {"schema_version": 99, "made_by": "deploytool 9"}
    (made.path / MANIFEST).write_text(canonical_json(values))
    with pytest.raises(ArtifactError, match="schema version 99, written by deploytool 9; need version 4 or older"):
        open_artifact(made.path)


def test_a_manifest_of_nothing_but_brackets_is_damaged(store: Store) -> None:
    made = put(store)
    (made.path / MANIFEST).write_text("[" * 100_000)
    with pytest.raises(ArtifactError, match="not readable"):
        open_artifact(made.path)
    assert store.find(request()) is None


def test_writers_of_the_same_artifact_do_not_disturb_each_other(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [future.result() for future in [pool.submit(put, store) for _ in range(40)]]
    assert {artifact.path for artifact in made} == set(store.root.iterdir())
    assert open_artifact(made[0].path) == made[0]


def test_a_damaged_artifact_gives_way_to_a_whole_one(store: Store) -> None:
    made = put(store)
    (made.path / "history.json").write_text("[1]")
    again = put(store)
    assert (again.path, again.digest) == (made.path, made.digest)
    assert open_artifact(made.path) == again
    assert list(store.root.iterdir()) == [made.path]


def test_references(store: Store) -> None:
    first, second = put(store), put(store, epochs=2)
    assert store.get(first.name[:-4]) == first
    assert store.get(str(second.path)) == second
    assert store.get("model@latest") == second
    assert store.by_digest(first.digest) == first
    with pytest.raises(ArtifactError, match="2 artifacts match it"):
        store.get("model-")
    with pytest.raises(ArtifactError, match="no such artifact"):
        store.get("model-zzz")
    with pytest.raises(ArtifactError, match="a model; need a graph or program"):
        store.get(first.name, "graph", "program")
    with pytest.raises(ArtifactError, match="no graph in"):
        store.get("graph@latest")


def test_a_failing_writer_leaves_nothing(store: Store) -> None:
    def half(folder: Path) -> None:
        write(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.put(request(), half)
    assert list(store.root.iterdir()) == []


def test_a_full_disk_is_one_sentence_and_leaves_nothing(store: Store) -> None:
    def full(folder: Path) -> None:
        write(folder)
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "weights.safetensors"))

    with pytest.raises(ArtifactError, match=r"cannot be written \(No space left on device\).*Free some space"):
        store.put(request(), full)
    assert list(store.root.iterdir()) == []


def test_tensors_on_a_full_disk_are_an_ordinary_error() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    with pytest.raises(OSError, match="No space left"):
        write_tensors({"w": np.zeros(100_000, np.float32)}, full)


def test_an_unwritable_store_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"):
        put(Store(tmp_path / "file" / "store"))


def test_a_copied_store_is_still_valid(store: Store, tmp_path: Path) -> None:
    made = put(store)
    shutil.copytree(store.root, tmp_path / "copy")
    assert Store(tmp_path / "copy").get(made.name).digest == made.digest


def test_every_kind_has_a_name() -> None:
    assert len(set(KINDS)) == len(KINDS)


def test_a_folder_that_may_not_be_entered_counts_and_a_store_that_may_not_be_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    (tmp_path / "model-1a2b").mkdir()
    (tmp_path / "notes").mkdir()
    assert store.folders() == []
    stat = Path.stat

    def refused(path: Path, **options: bool) -> object:
        if "model-1a2b" in path.parts[:-1]:
            raise PermissionError(13, "Permission denied")
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refused)
    assert store.folders("model", "graph") == [tmp_path / "model-1a2b"]
    with pytest.raises(ArtifactError, match=r"manifest\.json: not readable"):
        store.get("model-1a")

    def no_listing(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", no_listing)
    with pytest.raises(ArtifactError, match=r"cannot be read \(Permission denied\); need a folder that you may read"):
        store.folders()
