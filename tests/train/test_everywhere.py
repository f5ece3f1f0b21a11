"""With ``deterministic = "everywhere"`` the same recipe gives the same weights whatever the processor and threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from helpers.command import RECIPE, invoke, refusal
from helpers.trainings import TRAININGS, recipe

from deploytool.base.errors import RecipeError, UsageError
from deploytool.base.messages import Messages
from deploytool.recipe import TrainSection
from deploytool.store.artifact import Store
from deploytool.store.cache import StageCache
from deploytool.store.file_names import WEIGHTS
from deploytool.train import everywhere
from deploytool.workflow.preflight import untrainable
from deploytool.workflow.train import train

TESTS = Path(__file__).parents[1]

OLD = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX,-AVX2,-FMA,-FMA4,-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
}
"""C's and numpy's functions, and MKL, as on a processor without AVX, AVX2, AVX-512 and FMA."""

GENERIC = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
"""Compiled loops as on any x86-64 processor."""

FIRST_STEPS = {"time_steps": 4, "epochs": 1, "batch": 4, "learning_rate": 0.1}


def trained(store: Path, names: list[str], threads: int, settings: Mapping[str, str]) -> dict[str, str]:
    command = [sys.executable, "-m", "helpers.trainings", str(store), str(threads), *names]
    clean = {name: value for name, value in os.environ.items() if name not in {*everywhere.INSTRUCTIONS, *OLD}}
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    environment = {**clean, **settings, "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def expected(store: Path) -> dict[str, str]:
    return trained(store, list(TRAININGS), 1, {})


def test_an_older_processor_and_more_threads_give_the_same_weights(expected: dict[str, str], tmp_path: Path) -> None:
    assert trained(tmp_path, list(TRAININGS), 3, OLD) == expected


def test_loops_compiled_for_any_processor_give_the_same_weights(expected: dict[str, str], tmp_path: Path) -> None:
    """Those of the emulator, which the method `events` runs, are tested in tests/workflow/test_same_everywhere.py."""
    names = ["nmt", "trev"]
    found = trained(tmp_path, names, 2, {**OLD, **GENERIC})
    assert found == {name: expected[name] for name in names}


def test_without_it_other_instructions_give_other_weights(
    expected: dict[str, str], store: Path, tmp_path: Path
) -> None:
    """What the other tests compare does differ: the same network with the instructions of this processor, and not."""
    import torch

    if torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("PyTorch has only the instructions of every processor here")
    own = train(StageCache(Store(tmp_path), Messages(quiet=True)), recipe("nmt", "here"))
    plain = Store(store).by_digest(expected["nmt"])
    assert plain is not None
    assert (own.path / WEIGHTS).read_bytes() != (plain.path / WEIGHTS).read_bytes()


def test_it_is_part_of_what_is_asked_only_if_it_is_set() -> None:
    here, anywhere = (recipe("sdt", where).of_training["train"] for where in ("here", "everywhere"))
    assert "deterministic" not in here
    assert anywhere == {**here, "deterministic": "everywhere"}
    assert "deterministic" not in TrainSection(**FIRST_STEPS).model_dump_json()


def test_torch_that_is_loaded_with_other_instructions_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in everywhere.INSTRUCTIONS:
        monkeypatch.delenv(name, raising=False)
    cache = StageCache(Store(tmp_path), Messages(quiet=True))
    with pytest.raises(UsageError) as raised:
        train(cache, recipe("sdt"))
    assert str(raised.value).startswith(
        "train.deterministic: found 'everywhere', but this process loaded PyTorch before, with the instructions "
    )
    assert str(raised.value).endswith(
        "need PyTorch with those of every x86-64 processor. Use the command deploytool, or start Python with "
        "ATEN_CPU_CAPABILITY=default MKL_CBWR=COMPATIBLE ONEDNN_MAX_CPU_ISA=SSE41."
    )
    assert not {*everywhere.INSTRUCTIONS} & {*os.environ}


@pytest.mark.parametrize(("key", "value", "need"), [("device", "auto", "cpu"), ("precision", "mixed", "single")])
def test_a_gpu_is_refused(tmp_path: Path, key: str, value: str, need: str) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    changes = ["--set", 'train.deterministic="everywhere"', "--set", f'train.{key}="{value}"']
    said = refusal(invoke(tmp_path, "train", tmp_path / "recipe.toml", *changes), RecipeError.exit_code)
    assert f"found '{value}' with deterministic = 'everywhere'; need '{need}'" in said


def test_other_processors_and_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = recipe("sdt")
    assert not list(untrainable(asked))
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "0"), ("MASTER_ADDR", "localhost"), ("MASTER_PORT", "29500")):
        monkeypatch.setenv(name, value)
    assert [str(problem) for problem in untrainable(asked)] == [
        "train.deterministic: found 'everywhere' on a processor of kind aarch64; need x86-64, or 'here'.",
        "train.deterministic: found 'everywhere' in 2 processes of torchrun; need one process, or 'here'.",
    ]
    assert not list(untrainable(recipe("sdt", "here")))
