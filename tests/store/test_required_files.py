"""An artifact whose manifest leaves out a file that its kind must have is refused, and the file is named."""

from pathlib import Path

import pytest

from deploytool.base.errors import ArtifactError
from deploytool.store.artifact import Request, Store, open_artifact
from deploytool.store.faults import faults_of
from deploytool.store.manifest import KINDS, Kind
from deploytool.store.payloads import required_files


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_named(tmp_path: Path, kind: Kind) -> None:
    """Also where the file is there: nothing verifies what the manifest does not list."""
    files = required_files(kind)
    assert files
    for missing in files:

        def write(folder: Path, missing: str = missing) -> None:
            for name in {*files, "more"} - {missing}:
                (folder / name).write_text(name)

        made = Store(tmp_path / missing).put(Request(kind, {}, {}), write)
        (made.path / missing).write_text("not listed")
        (fault,) = faults_of(made.path, made.manifest)
        assert (fault.path, fault.found) == (made.path / missing, "missing")
        with pytest.raises(ArtifactError) as error:
            open_artifact(made.path)
        assert f"{made.path / missing}: not in the manifest; need a {kind} with this file." in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_an_artifact_with_all_of_them_is_opened(tmp_path: Path, kind: Kind) -> None:
    def write(folder: Path) -> None:
        for name in required_files(kind):
            (folder / name).write_text(name)

    made = Store(tmp_path).put(Request(kind, {}, {}), write)
    assert open_artifact(made.path) == made
