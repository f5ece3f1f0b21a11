"""Files that a person names: written whole, or left as they were."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from deploytool.base.errors import ArtifactError
from deploytool.base.files import require_writable, temporary_folder, write_file


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


def test_a_link_is_followed_and_a_draft_follows_none(tmp_path: Path) -> None:
    target, link, planted = (tmp_path / name for name in ("target", "link.bin", ".a.bin.part"))
    target.write_bytes(b"before")
    link.symlink_to(target)
    planted.symlink_to(target)
    write_file(link, b"through the link")
    write_file(tmp_path / "a.bin", b"one")
    assert link.is_symlink()
    assert target.read_bytes() == b"through the link"
    assert planted.is_symlink()


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ArtifactError, match="pipe: a pipe that nobody reads"):
        write_file(pipe, b"one")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_file(pipe, b"one")
    assert os.read(reader, 10) == b"one"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_new_file_has_the_mode_of_the_umask_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "a.bin", b"one")
    finally:
        os.umask(before)
    assert (tmp_path / "a.bin").stat().st_mode & 0o777 == 0o640
    (tmp_path / "a.bin").chmod(0o600)
    write_file(tmp_path / "a.bin", b"two")
    assert (tmp_path / "a.bin").stat().st_mode & 0o777 == 0o600


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="a folder; need the name of a file"):
        write_file(tmp_path, b"")
    with pytest.raises(ArtifactError, match="cannot be written"):
        write_file(tmp_path / "none" / "a.bin", b"")


def test_no_place_for_temporary_files_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(**_: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    sentence = r"cannot be made \(No usable .*; need a folder for temporary files\. Name"
    with pytest.raises(ArtifactError, match=sentence), temporary_folder():
        pass


def test_a_full_disk_of_temporary_files_is_one_sentence_and_other_errors_stay() -> None:
    with pytest.raises(ArtifactError, match=r"cannot be written .*; need room for temporary files"), temporary_folder():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(FileNotFoundError), temporary_folder():
        raise FileNotFoundError(errno.ENOENT, "no such file")


def test_the_next_temporary_folder_removes_those_of_killed_processes_and_no_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    code = """
import os, sys, tempfile
from pathlib import Path
from deploytool.base.files import temporary_folder
tempfile.tempdir = sys.argv[1]
with temporary_folder() as folder:
    (folder / "full").write_bytes(b"x")
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == -9
    (left,) = tmp_path.iterdir()
    assert [path.name for path in left.iterdir()] == ["full"]
    of_a_user = tmp_path / "deploytool-examples"
    of_a_user.mkdir()
    with temporary_folder() as first, temporary_folder() as second:
        assert sorted(tmp_path.iterdir()) == sorted([first, second, of_a_user])
    assert list(tmp_path.iterdir()) == [of_a_user]


def test_what_can_be_written_is_known_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "none" / "a.bin")
    for name in ("new", "file", "pipe"):
        require_writable(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "pipe"]
    assert (tmp_path / "file").read_bytes() == b"kept"
    for name in ("none/a.bin", "file/a.bin", "link"):
        with pytest.raises(ArtifactError, match=r"cannot be written \(.*\); need a writable place"):
            require_writable(tmp_path / name)
    with pytest.raises(ArtifactError, match="a folder; need the name of a file"):
        require_writable(tmp_path)
