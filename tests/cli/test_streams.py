"""The command as a process whose standard streams are full, closed or no longer read, in a folder that is gone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")
NEEDS_FULL = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this machine")
COMMAND = f"{sys.executable} -m deploytool"


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """``line`` of a shell, in which ``d`` is the command; without what a slow machine says of time that passes."""
    setting = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    script = f'd() {{ {COMMAND} "$@"; }}\n{line}'
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=setting, capture_output=True, text=True, timeout=120)
    done.stderr = re.sub(r"^\w+: working  \d+ s\n", "", done.stderr, flags=re.MULTILINE)
    return done


@NEEDS_FULL
@pytest.mark.parametrize("command", ["show schema", "show --help", "--version", "show --json", "show"])
@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_result_that_cannot_be_written_is_one_sentence(command: str, buffered: str, tmp_path: Path) -> None:
    done = shell(f"PYTHONUNBUFFERED={buffered} d {command} > /dev/full", tmp_path)
    assert done.returncode == 4
    assert done.stderr == "stdout: cannot be written (No space left on device); need a place for the result.\n"


@NEEDS_FULL
def test_an_error_is_said_before_the_result_that_cannot_be_written(tmp_path: Path) -> None:
    done = shell("d show nothing-1 --json > /dev/full", tmp_path)
    assert done.returncode == 4
    first, *rest = done.stderr.splitlines()
    assert first.startswith("nothing-1: no such artifact")
    assert all(line.startswith("stdout: cannot be written") for line in rest)


@pytest.mark.parametrize("command", ["show", "--help", "init -o recipe.toml"])
def test_a_closed_stdout_is_refused_before_anything_is_done(command: str, tmp_path: Path) -> None:
    done = shell(f"d {command} >&-", tmp_path)
    assert done.returncode == 4
    assert done.stderr.startswith("stdout: closed; need an open one for the result.")
    assert list(tmp_path.iterdir()) == []


@NEEDS_FULL
@pytest.mark.parametrize("messages", ["2>/dev/full", "2>&-", "2>&- <&-"])
def test_messages_that_nobody_can_read_are_lost_and_nothing_else(messages: str, tmp_path: Path) -> None:
    fine = shell(f"d show --json {messages}", tmp_path)
    assert fine.returncode == 0
    assert json.loads(fine.stdout) == {"artifacts": []}
    refused = shell(f"d show nothing-1 --json {messages}", tmp_path)
    assert refused.returncode == 4
    assert json.loads(refused.stdout)["error"]["exit_code"] == 4


@NEEDS_FULL
def test_with_no_stream_at_all_the_exit_code_is_left(tmp_path: Path) -> None:
    assert shell("d show > /dev/full 2>/dev/full", tmp_path).returncode == 4
    assert shell("d show >&- 2>&- <&-", tmp_path).returncode == 4


def test_a_reader_that_ends_early_is_no_error(tmp_path: Path) -> None:
    done = shell("d show schema --quiet | head -n 1; echo ${PIPESTATUS[@]}", tmp_path)
    assert done.stdout == "{\n0 0\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    "command", ["--help", "show --help", "device --help", "--version", "show -q", "show -q --json"]
)
@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_reader_that_reads_nothing_is_no_error(command: str, buffered: str, tmp_path: Path) -> None:
    line = f"(sleep 0.3; PYTHONUNBUFFERED={buffered} d {command}; echo $? > code) | true"
    done = shell(line, tmp_path)
    assert ((tmp_path / "code").read_text(), done.stderr) == ("0\n", "")


def test_closed_streams_take_no_file_of_an_artifact(tmp_path: Path) -> None:
    """Where stderr is closed, the next file that is opened would have its number, and messages would go there."""
    done = shell("d init -o recipe.toml > /dev/null 2>&- && d init -o other.toml > /dev/null", tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "recipe.toml").read_bytes() == (tmp_path / "other.toml").read_bytes()


@pytest.mark.parametrize("command", ["show", "verify", "convert pkg.mod:f", "run program@latest --data digits"])
def test_a_deleted_working_directory_is_one_sentence(command: str, tmp_path: Path) -> None:
    done = shell(f"mkdir gone && cd gone && rmdir ../gone && d {command}", tmp_path)
    assert done.returncode == 2
    assert done.stderr == "working directory: it was deleted; need one that exists. Change to another one.\n"


def test_no_home_and_no_place_for_temporary_files_are_no_error(tmp_path: Path) -> None:
    for setting in ("env -u HOME -u TMPDIR", "env HOME=/nonexistent TMPDIR=/nonexistent", "env HOME= TMPDIR="):
        done = shell(f"{setting} {COMMAND} show zoo:digits --json", tmp_path)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["model"] == "zoo:digits"


def test_an_interrupt_while_a_message_is_written_does_not_write_it_twice() -> None:
    code = """
import signal, sys
from deploytool.cli.streams import open_streams
open_streams()
inside = False
def interrupt(*_):
    if inside:
        raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
for stream in (sys.stdout, sys.stderr):
    for number in range(20000):
        try:
            inside = True
            stream.write(f"{number}\\n")
            stream.flush()
            inside = False
        except KeyboardInterrupt:
            inside = False
signal.setitimer(signal.ITIMER_REAL, 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for written in (done.stdout, done.stderr):
        lines = written.splitlines()
        assert len(lines) > 15000
        assert len(set(lines)) == len(lines)
