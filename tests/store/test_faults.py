import os
from pathlib import Path

import pytest

from deploytool.base.errors import ArtifactError
from deploytool.store.artifact import Artifact, Request, Store, open_artifact
from deploytool.store.faults import Fault, faults_of, files_not_listed, manifest_or_fault
from deploytool.store.manifest import FILE as MANIFEST


def write(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "inner").mkdir()
    (folder / "inner" / "history.json").write_text("[]")


@pytest.fixture
def made(tmp_path: Path) -> Artifact:
    return Store(tmp_path / "store").put(Request("model", {"data": "d"}, {"a": 1}), write)


def faults(artifact: Artifact) -> dict[str, str]:
    found = [*faults_of(artifact.path, artifact.manifest), *files_not_listed(artifact.path, artifact.manifest)]
    return {fault.path.relative_to(artifact.path).as_posix(): fault.found for fault in found}


def test_an_artifact_as_it_was_written_has_none(made: Artifact) -> None:
    assert faults(made) == {}
    assert manifest_or_fault(made.path) == made.manifest


def test_a_newer_manifest_and_one_that_is_not_there_are_told_apart(made: Artifact) -> None:
    (made.path / MANIFEST).write_text('{"schema_version": 99}')
    fault = manifest_or_fault(made.path)
    assert isinstance(fault, Fault)
    assert fault.found == "newer version"
    (made.path / MANIFEST).unlink()
    fault = manifest_or_fault(made.path)
    assert isinstance(fault, Fault)
    assert fault.found == "missing"


def test_all_of_them_are_found_and_the_first_is_raised(made: Artifact) -> None:
    (made.path / "weights.safetensors").write_bytes(b"Weights")
    (made.path / "inner" / "history.json").unlink()
    assert faults(made) == {"weights.safetensors": "changed", "inner/history.json": "missing"}
    with pytest.raises(ArtifactError, match="missing"):
        open_artifact(made.path)


def test_what_the_manifest_does_not_list_is_named_and_no_link_is_followed(made: Artifact, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").write_text("x")
    (made.path / "calibration.json").write_text("{}")
    (made.path / "out").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(made.path / "inner" / "pipe")
    found = "not listed"
    assert faults(made) == {"calibration.json": found, "out": found, "inner/pipe": found}
    assert open_artifact(made.path) == made


def test_a_linked_manifest_or_folder_is_refused(made: Artifact, tmp_path: Path) -> None:
    (made.path / MANIFEST).rename(tmp_path / MANIFEST)
    (made.path / MANIFEST).symlink_to(tmp_path / MANIFEST)
    assert faults(made) == {MANIFEST: "a link"}
    with pytest.raises(ArtifactError, match=r"manifest.json: a link; need the file itself"):
        open_artifact(made.path)


def test_a_damaged_manifest_is_a_fault(made: Artifact) -> None:
    (made.path / MANIFEST).write_text("{}")
    fault = manifest_or_fault(made.path)
    assert isinstance(fault, Fault)
    assert fault.path == made.path / MANIFEST
    assert fault.found == "changed"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_one_sentence(made: Artifact) -> None:
    (made.path / "weights.safetensors").chmod(0)
    with pytest.raises(ArtifactError, match=r"weights.safetensors: cannot be read \(Permission denied\)"):
        open_artifact(made.path)


def test_a_disk_that_fails_is_one_sentence(made: Artifact) -> None:
    def digest_of(path: Path) -> str:
        raise OSError(5, "Input/output error", str(path))

    found = {
        str(fault.error).partition(": ")[2].partition(";")[0]
        for fault in faults_of(made.path, made.manifest, digest_of)
    }
    assert found == {"cannot be read (Input/output error)"}
