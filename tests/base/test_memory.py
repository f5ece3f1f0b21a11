"""The bound of memory: how it is stated, where it comes from, and what ends in a sentence because of it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deploytool.base import memory
from deploytool.base.errors import RecipeError, UsageError
from deploytool.base.hdf5 import bytes_allowed
from deploytool.base.memory import (
    VARIABLE,
    format_bytes,
    memory_allowed,
    memory_bound,
    out_of_memory,
    parse_bytes,
    require_memory,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1000000", 10**6),
        ("4GB", 4 * 10**9),
        ("4 gb", 4 * 10**9),
        ("4G", 4 * 10**9),
        ("512MiB", 512 << 20),
        ("1.5TiB", 3 << 39),
        ("2kB", 2000),
        ("7B", 7),
    ],
)
def test_a_size_is_read(text: str, number: int) -> None:
    assert parse_bytes(text, "--max-memory") == number


@pytest.mark.parametrize("text", ["", "0", "GB", "4X", "-1GB", "4iB", "nan", "1e9", "1" * 400, "99999999999TB", "٤GB"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="need a size such as 4GB or 512MiB"):
        parse_bytes(text, "--max-memory")


@pytest.mark.parametrize(
    ("number", "words"),
    [(7, "7 bytes"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (10**18, "1,000.0 PB")],
)
def test_a_number_of_bytes_in_words(number: int, words: str) -> None:
    assert format_bytes(number) == words


def test_the_option_comes_before_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "3GB")
    assert memory_allowed() == 3 * 10**9
    with memory_bound("2GB", "run"):
        assert memory_allowed() == 2 * 10**9
    assert memory_allowed() == 3 * 10**9
    with memory_bound(None, "run"):
        assert memory_allowed() == 3 * 10**9


def test_a_variable_that_is_no_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "much")
    with pytest.raises(UsageError, match=r"^DEPLOYTOOL_MAX_MEMORY: found 'much'"):
        memory_allowed()


def test_the_default_is_a_share_of_the_smallest_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(memory, "_machine", lambda: 1000)
    monkeypatch.setattr(memory, "_limits_of_process", lambda: iter([800]))
    assert memory_allowed() == 600


def test_what_is_too_much_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1GB")
    require_memory("here", "the weights", 10**9, "Use fewer features", RecipeError)
    with pytest.raises(RecipeError) as refused:
        require_memory("here", "the weights", 10**9 + 1, "Use fewer features", RecipeError)
    assert refused.value.problems == (
        "here: the weights would take 1.0 GB of memory; need at most 1.0 GB, as --max-memory says. "
        "Use fewer features, or allow more with --max-memory.",
    )


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 7 GiB\nfor an array"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    ],
)
def test_an_exhausted_memory_is_one_sentence(error: Exception) -> None:
    found = out_of_memory(error, "train")
    assert found is not None
    assert found.exit_code == 6
    assert str(found).startswith("train: there was not enough memory")
    assert "\n" not in str(found)
    assert "--max-memory" in str(found)


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), OSError(errno.ENOENT, "no file"), ValueError("memory")]
)
def test_other_errors_are_no_exhausted_memory(error: Exception) -> None:
    assert out_of_memory(error, "train") is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the data of a process")
def test_a_stated_bound_stops_what_no_estimate_foresaw() -> None:
    program = f"""
import numpy as np
from deploytool.base.memory import memory_bound, threads, PER_THREAD
room = {1 << 30} // 8
with memory_bound("1GiB", "run"):
    np.ones(room // 2)
    try:
        np.empty(room + (threads() * PER_THREAD >> 3) + {1 << 20})
        print("taken")
    except MemoryError:
        print("stopped")
np.empty(2 * room)
print("free again")
"""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert ran.stdout.split("\n")[:2] == ["stopped", "free again"]


def test_arrays_of_a_file_stay_within_the_bound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros(10))
    monkeypatch.setenv(VARIABLE, "10MB")
    assert bytes_allowed(path) == 10**7
    monkeypatch.setenv(VARIABLE, "100GB")
    assert bytes_allowed(path) == 2**30
