"""Files that a person names: written whole, or left as they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploytool.base.errors import ArtifactError
from deploytool.base.files import write_file


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    for content in (b"one", b"another"):
        write_file(tmp_path / "a.bin", content)
        assert (tmp_path / "a.bin").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_a_file_that_cannot_be_replaced_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path / "a.bin", b"one")

    def refuse(*_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(ArtifactError, match=r"a\.bin: cannot be written \(Permission denied\)"):
        write_file(tmp_path / "a.bin", b"another")
    assert (tmp_path / "a.bin").read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="a folder; need the name of a file"):
        write_file(tmp_path, b"")
    with pytest.raises(ArtifactError, match="cannot be written"):
        write_file(tmp_path / "none" / "a.bin", b"")
