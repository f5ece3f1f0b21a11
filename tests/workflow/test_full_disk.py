"""Commands on full, failing and read-only disks: one sentence, a whole store, and a rerun that works."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.command import RECIPE, network
from helpers.failing_disk import FailingDisk
from typer.testing import CliRunner, Result

from deploytool.cli.app import app
from deploytool.convert.nir import write_nir
from deploytool.ir.events import EVENT
from deploytool.store.artifact import SILENT
from deploytool.workflow.verify import verify

NUMBERS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS)

CHAIN = (
    "convert net.nir -o same.nir",
    "map graph@latest",
    "run program@latest --data events.npy --rasters 1",
    "run program@latest --data events.npy --on simulator --rasters 1",
    "validate {0} {1} --junit checks.xml",
    "report verdict@latest -o page.html",
    "export recording@latest --spikes spikes.csv --samples samples.csv",
    "sweep program@latest --until-ms 1,2 --data events.npy --csv curves.csv",
    "package program@latest --data events.npy -o net.zip",
)
"""The commands, one after the other; {0} and {1} are the recordings."""


def words(line: str, folder: Path) -> list[str]:
    recordings = sorted((folder / "artifacts").glob("recording-*"))
    return line.format(*[path.name for path in recordings]).split()


def call(line: str, folder: Path, patch: pytest.MonkeyPatch) -> Result:
    patch.chdir(folder)
    return CliRunner().invoke(app, words(line, folder))


def names(folder: Path) -> set[str]:
    """All paths below ``folder``."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def write_inputs(folder: Path) -> None:
    write_nir(network(), folder / "net.nir")
    events = np.zeros(60, EVENT)
    events["t"], events["x"] = np.arange(60) * 50, np.arange(60) % 16
    events["y"] = np.arange(60) * 7 % 16
    np.save(folder / "events.npy", events)


def put_back(folder: Path, kept: Path) -> None:
    """Makes ``folder`` what it was when ``kept`` was copied."""
    shutil.rmtree(folder)
    shutil.copytree(kept, folder)


def places(changes: list[str]) -> list[int]:
    """The numbers of ``changes`` to try, in order: the first of all, and the last of every kind."""
    last = {kind(change): number for number, change in enumerate(changes, start=1)}
    return sorted({1, *last.values()})


def kind(change: str) -> str:
    """What a ``change`` does, and to files of which ending or folders of which name, without digests."""
    done, _, path = change.partition(" ")
    return f"{done} {Path(path).suffix or re.split(r'[-_0-9]', Path(path).name)[0]}"


def fails_everywhere(line: str, folder: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs ``line`` in ``folder`` with a disk that fails at each of its changes; ``kept`` is a place for a copy.

    Returns the number of changes that were tried. The command has run at the end.
    """
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder, kept)
    with monkeypatch.context() as patch:
        (counted := FailingDisk(folder)).install(patch)
        done = call(line, folder, patch)
    assert done.exit_code in (0, 9), f"{line}\n{done.output}"
    after, chosen = names(folder), places(counted.changes)
    assert len(chosen) >= 3, line
    for n in chosen:
        put_back(folder, kept)
        with monkeypatch.context() as patch:
            FailingDisk(folder, n, NUMBERS[n % len(NUMBERS)]).install(patch)
            failed = call(line, folder, patch)
        where = f"{line}: {counted.changes[n - 1]}\n{failed.output}"
        assert failed.exit_code in (4, done.exit_code), where
        assert "Traceback" not in failed.stderr, where
        sentences = [text for text in failed.stderr.splitlines() if "; need " in text]
        if failed.exit_code == 4:
            assert len(sentences) == 1, where
            assert "cannot be written" in sentences[0], where
        if (folder / "artifacts").exists():
            assert verify(folder / "artifacts", SILENT).whole, where
        assert {name for name in names(folder) - after if "unfinished/" not in name} <= {"artifacts/unfinished"}, where
        with monkeypatch.context() as patch:
            repeated = call(line, folder, patch)
        assert repeated.exit_code == done.exit_code, where + repeated.output
        assert names(folder) == after, where
    return len(chosen)


def test_a_full_disk_at_every_change_is_one_sentence_and_leaves_a_whole_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    write_inputs(folder)
    tried = [fails_everywhere(line, folder, tmp_path / "kept", monkeypatch) for line in CHAIN]
    assert sum(tried) > 40, tried


def test_a_training_on_a_full_disk_continues_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "recipe.toml").write_text(RECIPE)
    line = "train recipe.toml --set data.train_samples=20 --set data.test_samples=10 --set train.time_steps=2"
    assert fails_everywhere(line, folder, tmp_path / "kept", monkeypatch) > 7


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB with the inputs and a store, which goes at the end."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    if not _mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)):
        pytest.skip("this user cannot mount a file system")
    try:
        write_inputs(folder)
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _mount(*options: str) -> bool:
    return bool(shutil.which("mount")) and subprocess.run(["mount", *options], capture_output=True).returncode == 0


@pytest.mark.parametrize("left_kb", [0, 4, 12, 40])
def test_a_small_file_system_that_is_full(mounted: Path, left_kb: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in CHAIN[:2]:
        assert call(line, mounted, monkeypatch).exit_code == 0
    free = os.statvfs(mounted).f_bavail * os.statvfs(mounted).f_frsize
    (mounted / "ballast").write_bytes(b"x" * (free - left_kb * 1024))
    failed = call(CHAIN[2], mounted, monkeypatch)
    assert failed.exit_code == (0 if left_kb == 40 else 4), failed.output
    if failed.exit_code:
        (sentence,) = (text for text in failed.stderr.splitlines() if "; need " in text)
        assert "cannot be written (No space left on device); need a writable --store. Free some space, or" in sentence
    assert verify(mounted / "artifacts", SILENT).whole
    (mounted / "ballast").unlink()
    assert call(CHAIN[2], mounted, monkeypatch).exit_code == 0
    assert {path.name.partition("-")[0] for path in (mounted / "artifacts").iterdir()} == {
        "graph",
        "program",
        "recording",
    }


def test_a_store_that_cannot_be_written_is_shown_and_reported_and_refused_before_a_run(
    mounted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in CHAIN[:5]:
        assert call(line, mounted, monkeypatch).exit_code in (0, 9)
    assert _mount("-o", "remount,ro", str(mounted))
    before = names(mounted)
    assert call("show", mounted, monkeypatch).exit_code == 0
    assert call("show program@latest", mounted, monkeypatch).exit_code == 0
    assert call("verify", mounted, monkeypatch).exit_code == 0
    again = call(CHAIN[2], mounted, monkeypatch)
    assert again.exit_code == 0, again.output
    assert "already there" in again.stderr
    refused = call("run program@latest --data events.npy --rasters 0", mounted, monkeypatch)
    assert refused.exit_code == 4
    (sentence,) = (text for text in refused.stderr.splitlines() if "; need " in text)
    assert sentence.startswith("artifacts: cannot be written (Read-only file system); need a writable --store. Choose")
    assert "emulator" not in refused.stderr
    elsewhere = f"run {one_program(mounted)} --data events.npy --rasters 0 --store {tmp_path / 'mine'}"
    assert call(elsewhere, mounted, monkeypatch).exit_code == 0
    page = call(f"report verdict@latest -o {tmp_path / 'page.html'}", mounted, monkeypatch)
    assert page.exit_code == 0, page.output
    assert "artifacts cannot be written: the page is not kept there\n" in page.stderr
    assert b"<html" in (tmp_path / "page.html").read_bytes()
    answered = call(f"report verdict@latest -o {tmp_path / 'pages'} --json", mounted, monkeypatch)
    assert json.loads(answered.stdout) == {
        "artifact": None,
        "kind": "report",
        "copy": str(tmp_path / "pages" / "report.html"),
    }
    assert call("report verdict@latest", mounted, monkeypatch).exit_code == 4
    assert names(mounted) == before


def one_program(folder: Path) -> Path:
    return next((folder / "artifacts").glob("program-*"))
