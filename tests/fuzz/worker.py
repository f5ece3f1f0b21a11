"""The process in which cases run: with a memory limit and an alarm for each."""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import importlib
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from tests.fuzz.family import Family
from tests.fuzz.outcome import GOOD, Case, Outcome, Result, is_out_of_memory, objection

LOG: Final = "log"
"""The file in a worker's folder with what it and its libraries print, and where it stood when it died."""
NOT_SHOWN: Final = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""Warnings that Python does not print by itself."""
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Limits:
    """What a case may use: ``memory`` bytes beyond what the process already has, ``seconds`` of process time."""

    memory: int = 4 * 2**30
    seconds: float = 20.0


def families_of(module: str) -> dict[str, Family]:
    """{name: family} of FAMILIES in ``module``. Raises ValueError if two have the same name."""
    families = importlib.import_module(module).FAMILIES
    found = {family.name: family for family in families}
    if len(found) < len(families):
        raise ValueError(f"{module}: two families have the same name")
    return found


def serve(connection: Connection, module: str, folder: Path, limits: Limits) -> None:
    """Runs the cases that come through ``connection``, and answers each with its `Result`; None ends it."""
    for name in _ONE_THREAD:
        os.environ[name] = "1"
    log = _all_output_to(folder / LOG)
    faulthandler.enable(log)
    faulthandler.register(signal.SIGPROF, log, chain=True)
    warnings.simplefilter("ignore")
    families = families_of(module)
    connection.send(None)
    while (case := connection.recv()) is not None:
        os.ftruncate(log, 0)
        inputs = folder / "case"
        inputs.mkdir()
        connection.send(run_case(families, case, inputs, limits))
        shutil.rmtree(inputs)


def run_case(families: Mapping[str, Family], case: Case, folder: Path, limits: Limits) -> Result:
    """How ``case`` ends; its input is written into ``folder``, which is empty. The process dies where time runs out."""
    from deploytool.base.errors import DeployError

    digest, begun = "", time.process_time()
    said: list[warnings.WarningMessage] = []

    def ended(outcome: Outcome, detail: str = "", kind: str = "") -> Result:
        if said and outcome in GOOD:
            text = warnings.formatwarning(said[0].message, said[0].category, said[0].filename, said[0].lineno)
            outcome, detail, kind = "message", text, f"{said[0].category.__name__} in {_place(said[0].filename)}"
        return Result(case, outcome, detail, kind, digest, time.process_time() - begun)

    family = families[case.family]
    try:
        path = family.mutated(random.Random(f"{case.family} {case.seed}"), folder)
        digest = _digest(folder)
        with _limited(limits), warnings.catch_warnings(record=True, action="always") as recorded:
            said = recorded
            for category in NOT_SHOWN:
                warnings.simplefilter("ignore", category)
            family.read(path)
    except DeployError as error:
        if is_out_of_memory(error):
            return ended("memory", traceback.format_exc(), _kind(error))
        if wrong := objection(error.problems):
            return ended("message", f"{wrong}: {str(error)[:2000]!r}", wrong.partition(" of ")[0])
        return ended("refused", str(error))
    except BaseException as error:
        return ended("memory" if is_out_of_memory(error) else "traceback", traceback.format_exc(), _kind(error))
    return ended("taken")


@contextlib.contextmanager
def _limited(limits: Limits) -> Iterator[None]:
    """Within, memory beyond the limit is refused, and the process is killed by SIGPROF when its time runs out."""
    before, hardest = resource.getrlimit(resource.RLIMIT_AS)
    if (used := _address_space()) is not None:
        resource.setrlimit(resource.RLIMIT_AS, (used + limits.memory, hardest))
    signal.setitimer(signal.ITIMER_PROF, limits.seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (before, hardest))


def _address_space() -> int | None:
    """The bytes of address space of this process; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return None
    return pages * resource.getpagesize()


def _all_output_to(path: Path) -> int:
    """The descriptor of ``path``, to which everything that this process prints goes from now on."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sys.stdout.flush()
    for stream in (1, 2):
        os.dup2(log, stream)
    return log


def _digest(folder: Path) -> str:
    """The SHA-256 of all files in ``folder`` and their names."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode("utf-8", "surrogateescape"))
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _kind(error: BaseException) -> str:
    """The type of ``error`` and the innermost line of this project that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/deploytool/" in frame.filename or "/tests/" in frame.filename]
    frame = (ours or frames)[-1]
    return f"{type(error).__name__} in {_place(frame.filename)}:{frame.lineno} {frame.name}"


def _place(file: str) -> str:
    return f"{Path(file).parent.name}/{Path(file).name}"
