"""The chain that a soak repeats: commands on one store, each of which makes artifacts that the next ones need."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from helpers.command import RECIPE as SMALL

RECIPE: Final = SMALL.replace("epochs = 2", "epochs = 4").replace("batch = 32", "batch = 8")

CHECKOUT: Final = str(Path(__file__).parents[2])
"""Where the commands get deploytool from: beside these tests, wherever they run."""

SECONDS_MAX: Final = 600.0
"""A command that takes longer does not end."""


@dataclass(frozen=True)
class Step:
    """A command with its ``arguments``, in which "{name}" stands for the artifact of the step ``name``."""

    name: str
    arguments: tuple[str, ...]


def _step(name: str, *arguments: str) -> Step:
    return Step(name, arguments)


SHORT: Final = (
    _step("graph", "convert", "net.nir"),
    _step("program", "map", "{graph}"),
    _step("emulated", "run", "{program}", "--data", "digits", "--samples", "12"),
    _step("counts", "export", "{emulated}", "--counts", "conv", "-o", "counts.npy"),
)
"""A part without training that takes seconds."""

IMPORTED: Final = (
    *SHORT,
    _step("wide", "map", "{graph}", "--target", "simulator"),
    _step("simulated", "run", "{wide}", "--data", "digits", "--samples", "12", "--on", "simulator"),
    _step("compared", "compare", "{emulated}", "{simulated}"),
    _step("verdict", "validate", "{emulated}", "{simulated}"),
)

TRAINED: Final = (
    _step("chain", "pipeline", "recipe.toml"),
    _step("model", "train", "recipe.toml"),
    _step("trained", "convert", "{model}", "-o", "trained.nir"),
    _step("mapped", "map", "{model}"),
    _step("calibrated", "map", "{model}", "--quantise", "calibrated", "--data", "digits"),
)

VARIED: Final = ("--perturb", "order=8us,drop=1%,threshold=2%,weights=1%", "--repeats", "2")

RUNS: Final = (
    _step("chip", "run", "{mapped}", "--data", "digits", "--samples", "25", "--extremes", "--rasters", "3"),
    _step("perturbed", "run", "{mapped}", "--data", "digits", "--samples", "20", *VARIED),
    _step(
        "stepped", "run", "{mapped}", "--data", "digits", "--samples", "25", "--on", "quantised", "--time-steps", "6"
    ),
    _step("explained", "compare", "{chip}", "{stepped}", "--explain", "--samples", "2"),
    _step("judged", "validate", "{chip}", "{stepped}"),
    _step("spikes", "export", "{chip}", "--counts", "all.csv", "--samples", "samples.csv"),
)

SWEEPS: Final = (
    _step("steps", "sweep", "{model}", "--time-steps", "1,2,4", "--figure", "steps.svg", "--csv", "steps.csv"),
    _step("bits", "sweep", "{model}", "--bits", "4,8", "--data", "digits", "--samples", "20", "--requantise"),
    _step("page", "report", "{judged}", "-o", "page.html"),
)

PARTS: Final = (TRAINED, RUNS, SWEEPS, IMPORTED)
"""The whole chain. A part needs what those before it made; a fault strikes one part, which is then repaired."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, negative if a signal ended it, and what it printed."""

    arguments: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def problems(self) -> list[str]:
        """What is wrong with the way it ended, whatever was done to it."""
        if self.was_starting:
            return []
        if self.code in (None, 1):
            return [f"exit code {self.code}: {self._last}"]
        if "Traceback (most recent call last)" in self.stderr:
            return [f"a traceback: {self._last}"]
        if self.code < 0:
            return []
        if not isinstance(answer := self.answer, dict):
            return [f"exit code {self.code}, and stdout is not one JSON object: {self.stdout[:200]!r}"]
        if self.code in (0, 9):
            return []
        told = answer.get("error", {}).get("problems", ("",))
        return [f"{found}: {text!r}" for text in told if (found := _not_a_sentence(text))]

    @property
    def was_starting(self) -> bool:
        """Whether an interrupt came while Python itself was starting, before a line of deploytool ran."""
        if self.code == -signal.SIGINT:  # from then on Python, or deploytool, handles it
            return not self.stderr
        begun = str(Path(CHECKOUT) / "deploytool") in self.stderr
        return self.code != 0 and self.stderr.rstrip().endswith("KeyboardInterrupt") and not begun

    @property
    def answer(self) -> Any:
        """The JSON object on stdout; None if there is none."""
        try:
            return json.loads(self.stdout)
        except ValueError:
            return None

    @property
    def says(self) -> str:
        """The problems that it states, or else its last line."""
        if isinstance(answer := self.answer, dict) and "error" in answer:
            return " ".join(answer["error"]["problems"])
        return self._last

    @property
    def _last(self) -> str:
        return " | ".join(self.stderr.strip().splitlines()[-3:])[-600:]


def _not_a_sentence(text: str) -> str:
    """Why the problem ``text`` is no sentence for a person; empty if it is one."""
    if not text.strip():
        return "an empty message"
    if len(text) > 1000:
        return f"a message of {len(text)} characters"
    if any(not character.isprintable() for character in text):
        return "a message with control characters"
    return ""


@dataclass(frozen=True)
class Commands:
    """Starts commands in ``folder`` on one ``store``, with temporary files in the folder ``temporary``."""

    folder: Path
    store: Path
    temporary: Path

    def start(self, arguments: tuple[str, ...], file_max: int | None = None) -> Running:
        """A command that runs; it can write no file of more than ``file_max`` bytes."""

        def limited() -> None:
            if file_max is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_max, file_max))

        command = [sys.executable, "-m", "deploytool", *arguments, "--store", str(self.store), "--json"]
        environment = {**os.environ, "PYTHONPATH": CHECKOUT, "TMPDIR": str(self.temporary), "COLUMNS": "120"}
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limited,
        )
        return Running(arguments, process, time.perf_counter())

    def run(self, arguments: tuple[str, ...], file_max: int | None = None) -> Ended:
        """How a command ended."""
        return self.start(arguments, file_max).end()


@dataclass(frozen=True)
class Running:
    """A command that was started."""

    arguments: tuple[str, ...]
    process: subprocess.Popen[str]
    started: float

    def end(self) -> Ended:
        """How it ended; one that does not end is killed, and has exit code 1."""
        try:
            stdout, stderr = self.process.communicate(timeout=SECONDS_MAX)
            code = self.process.returncode
        except subprocess.TimeoutExpired:
            self.process.kill()
            stdout, stderr = self.process.communicate()
            code, stderr = 1, f"{stderr}\ndid not end in {SECONDS_MAX:g} s"
        return Ended(self.arguments, code, stdout, stderr, time.perf_counter() - self.started)


@dataclass(frozen=True)
class Done:
    """What a step did where nothing disturbed it: ``artifact`` is its name, ``made`` all that it added to the store."""

    step: Step
    arguments: tuple[str, ...]
    artifact: str | None
    made: frozenset[str]
    seconds: float


def undisturbed(
    commands: Commands, steps: tuple[Step, ...], names: dict[str, str], tell: Callable[[Ended], None]
) -> list[Done]:
    """What each of ``steps`` does in a new store, until one fails; ``tell`` gets how each ended.

    ``names`` {step: artifact} are those of steps before, and get those of these.
    """
    found: list[Done] = []
    for step in steps:
        before = artifacts_in(commands.store)
        arguments = filled(step, names)
        tell(ended := commands.run(arguments))
        if ended.code != 0:
            break
        artifact = ended.answer.get("artifact")
        if artifact is not None:
            names[step.name] = artifact
        made = frozenset(artifacts_in(commands.store) - before)
        found.append(Done(step, arguments, artifact, made, ended.seconds))
    return found


def filled(step: Step, names: Mapping[str, str]) -> tuple[str, ...]:
    """The arguments of ``step`` with the ``names`` {step: artifact}."""
    return tuple(text.format_map(names) if text.startswith("{") else text for text in step.arguments)


def artifacts_in(store: Path) -> set[str]:
    """The names of the artifacts in ``store``."""
    return {path.parent.name for path in store.glob("[!.]*/manifest.json")}


def leftovers_in(store: Path) -> list[str]:
    """What is in ``store`` and no artifact, or unfinished work."""
    names = artifacts_in(store)
    found = [path for path in store.glob("*") if path.name not in names] if store.is_dir() else []
    return sorted(path.relative_to(store).as_posix() for top in found for path in [top, *top.rglob("*")])
