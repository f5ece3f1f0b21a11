"""Locks between processes and drafts."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from deploytool.base.files import DRAFT, write_file
from deploytool.base.locks import RANDOM, alone, draft_file, draft_folder, remove_leftovers

ANY = r"\.draft-" + RANDOM


def never(who: str) -> None:
    raise AssertionError(f"waited for {who}")


class BusyError(Exception):
    pass


def busy(who: str) -> None:
    raise BusyError(who)


def test_one_at_a_time_and_the_one_that_waits_is_told_for_whom(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.lock"
    with alone(path, never), pytest.raises(BusyError, match=f"^process {os.getpid()}$"), alone(path, busy):
        pass
    assert not path.exists()
    with alone(path, never):
        assert path.exists()


def test_a_lock_file_that_was_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    path.write_text("12345 elsewhere", encoding="utf-8")
    with alone(path, never), pytest.raises(BusyError, match=f"^process {os.getpid()}$"), alone(path, busy):
        pass
    assert not path.exists()


def test_a_lock_of_another_machine_is_named_so(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with alone(path, never):
        path.write_text("7 elsewhere", encoding="utf-8")
        with pytest.raises(BusyError, match=r"^process 7 on elsewhere$"), alone(path, busy):
            pass
        path.write_text("", encoding="utf-8")
        with pytest.raises(BusyError, match=r"^another process$"), alone(path, busy):
            pass


def test_a_lock_file_that_somebody_replaced_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with alone(path, never):
        path.unlink()
        path.write_text("new", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "new"


def test_a_place_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match="file"), alone(tmp_path / "file" / "x.lock", never):
        pass


def test_drafts_in_use_stay_and_others_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".draft-abcdefgh").mkdir()
    (tmp_path / ".draft-abcdefgh" / "half").write_text("", encoding="utf-8")
    (tmp_path / ".draft-01234567").write_text("", encoding="utf-8")
    with draft_folder(tmp_path, ".draft-") as folder, draft_file(tmp_path, ".draft-") as (_, file):
        remove_leftovers(tmp_path, ANY)
        assert sorted(tmp_path.iterdir()) == sorted((folder, file))
    assert not list(tmp_path.iterdir())


def test_other_names_and_links_stay(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("", encoding="utf-8")
    (tmp_path / ".draft-abcdefgh").symlink_to(tmp_path / "mine")
    (tmp_path / ".draft-short").write_text("", encoding="utf-8")
    before = sorted(tmp_path.iterdir())
    remove_leftovers(tmp_path, ANY)
    assert sorted(tmp_path.iterdir()) == before
    remove_leftovers(tmp_path / "none", ANY)


def test_a_file_whose_writing_was_killed_leaves_nothing_after_the_next_one(tmp_path: Path) -> None:
    code = f"""
import os, signal, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from deploytool.base.files import write_file
Path.replace = lambda self, target: os.kill(os.getpid(), signal.SIGKILL)
write_file(Path({str(tmp_path / "out")!r}), b"new")
"""
    (tmp_path / "out").write_bytes(b"old")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == -9
    assert (tmp_path / "out").read_bytes() == b"old"
    assert [path.name.startswith(DRAFT) for path in tmp_path.iterdir()].count(True) == 1
    write_file(tmp_path / "out", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_draft_that_is_removed_before_it_is_locked_is_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[Path] = []

    def make(prefix: str, dir: Path) -> str:  # noqa: A002
        path = Path(mkdtemp(prefix=prefix, dir=dir))
        made.append(path)
        if len(made) == 1:
            remove_leftovers(tmp_path, ANY)
        return str(path)

    mkdtemp = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", make)
    with draft_folder(tmp_path, ".draft-") as draft:
        assert list(tmp_path.iterdir()) == [draft] == made[1:]
