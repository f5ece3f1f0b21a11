"""Repeats the chain for a time while faults are injected, and judges what was seen.

    make soak MINUTES=60 SEED=1

Every round injects one fault into commands on one store, then repairs the store as the messages say, until the whole
chain ends with the artifacts that it makes undisturbed. Meanwhile one process repeats the chain through the Python
API. OUTPUT gets a line per command and per round, the measures of that process, summary.json and memory.svg.
Exit code 1 if anything went wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from helpers.command import network
from soak import measured
from soak.chain import PARTS, RECIPE, SHORT, Commands, Ended, artifacts_in, leftovers_in, undisturbed
from soak.curve import draw
from soak.faults import FAULTS, Ground
from soak.judge import summary

from deploytool.base.errors import ArtifactError
from deploytool.convert.nir.write import write_nir
from deploytool.store.artifact import open_artifact

ATTEMPTS_MAX: Final = 20
"""A chain that names damage more often than this cannot be repaired."""


@dataclass(frozen=True)
class Log:
    """The files in ``folder`` that a soak writes while it runs, and the rows in them."""

    folder: Path
    commands: list[dict[str, Any]] = field(default_factory=list)
    rounds: list[dict[str, Any]] = field(default_factory=list)

    def command(self, number: int, fault: str, ended: Ended, problems: Sequence[str]) -> None:
        """Adds a command of round ``number``."""
        row = {"round": number, "fault": fault, "arguments": ended.arguments, "code": ended.code}
        row |= {"seconds": round(ended.seconds, 3), "says": ended.says if ended.code else "", "problems": [*problems]}
        self._add("commands", self.commands, row)
        for text in problems:
            print(f"round {number}, {fault}: deploytool {' '.join(ended.arguments)}: {text}", flush=True)

    def round(self, row: dict[str, Any]) -> None:
        """Adds a round."""
        self._add("rounds", self.rounds, row)
        for text in row["problems"]:
            print(f"round {row['round']}, {row['fault']}: {text}", flush=True)

    def _add(self, name: str, rows: list[dict[str, Any]], row: dict[str, Any]) -> None:
        rows.append(row)
        with (self.folder / f"{name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


@dataclass
class Repaired:
    """A chain after a fault: how its commands ended, the damaged artifacts that they named, and what went wrong."""

    ended: list[Ended] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def repaired(ground: Ground) -> Repaired:
    """The chain on a store after a fault; what a message names is deleted, as it says: artifacts or unfinished work."""
    found = Repaired()
    while len(found.named) < ATTEMPTS_MAX:
        for done in ground.done:
            found.ended.append(last := ground.commands.run(done.arguments))
            if last.code:
                break
            if (artifact := last.answer.get("artifact")) != done.artifact:
                found.problems.append(f"{done.step.name} is {artifact}, and was {done.artifact}")
        else:
            found.problems += _whole(ground)
            return found
        says = re.sub("[: ]", "/", f"{last.says} ")
        named = [path for path in (*ground.store.glob("*-*"), *ground.store.glob("unfinished/*")) if f"{path}/" in says]
        if last.code != 4 or not named:
            break
        for path in named:
            shutil.rmtree(path)
            found.named.append(path.name)
    found.problems.append(f"the chain cannot be repaired: {' '.join(last.arguments)}: {last.says}")
    return found


def _whole(ground: Ground) -> list[str]:
    """What is wrong with a store in which a part was repaired; its artifacts that no command read may be damaged."""
    found = []
    for name in artifacts_in(ground.store):
        try:
            open_artifact(ground.store / name)
        except ArtifactError as error:
            if name not in ground.there:
                found.append(f"{name} of another part is damaged: {error}")
            shutil.rmtree(ground.store / name)
    return found


@contextlib.contextmanager
def long_lived(folder: Path, commands: Commands, seed: int, found: list[str]) -> Iterator[Path]:
    """A process that repeats the chain through the Python API; the path of its measures. ``found`` gets its faults."""
    measures, errors = folder / "process.jsonl", folder / "process.stderr"
    command = [sys.executable, "-m", "soak.script", str(commands.folder), str(commands.store), str(seed)]
    environment = {**os.environ, "TMPDIR": str(commands.temporary)}
    with measures.open("wb") as out, errors.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=log, env=environment)
    try:
        yield measures
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=300)
        if process.returncode:
            found.append(f"the long-lived process ended with {process.returncode}: {errors.read_text()[-500:]}")
    finally:
        process.kill()


def rows(path: Path) -> list[dict[str, Any]]:
    """The lines of JSON in ``path`` that are complete."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    return [json.loads(line) for line in lines]


@dataclass(frozen=True)
class Asked:
    """How long, with which seed and which faults; ``short`` is a chain of seconds and no process beside it."""

    output: Path
    minutes: float
    seed: int
    faults: tuple[str, ...]
    short: bool


def soak(asked: Asked) -> Mapping[str, Any]:
    """The summary of a soak."""
    work = Path(tempfile.mkdtemp(prefix="deploytool-soak-"))
    commands = Commands(work, work / "store", work / "temporary")
    commands.temporary.mkdir()
    (work / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    write_nir(network(), work / "net.nir")
    log, also = Log(asked.output), list[str]()
    try:
        names: dict[str, str] = {}
        grounds = []
        for steps in (SHORT,) if asked.short else PARTS:
            done = undisturbed(commands, steps, names, lambda ended: log.command(0, "nothing", ended, _failed(ended)))
            grounds.append(Ground(commands, done, random.Random(asked.seed)))
            if len(done) < len(steps):
                return summary(log.commands, log.rounds, [], also)
        if asked.short:
            _rounds(grounds, log, asked)
            return summary(log.commands, log.rounds, [], also)
        with long_lived(asked.output, commands, asked.seed, also) as measures:
            _rounds(grounds, log, asked)
        also += _new(grounds)
        repetitions = rows(measures)
        draw(asked.output / "memory.svg", repetitions, log.rounds)
        return summary(log.commands, log.rounds, repetitions, also)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _failed(ended: Ended) -> list[str]:
    """What is wrong with a command that nothing disturbed."""
    return ended.problems or ([ended.says] if ended.code else [])


def _rounds(grounds: Sequence[Ground], log: Log, asked: Asked) -> None:
    """Rounds of all faults that were asked for, in random orders, each once and then until the time is over."""
    begun, number, waiting = time.monotonic(), 0, list[str]()
    generator = random.Random(asked.seed)
    while number < len(asked.faults) or time.monotonic() < begun + 60 * asked.minutes:
        number += 1
        if not waiting:
            waiting = generator.sample(asked.faults, len(asked.faults))
        fault, ground = waiting.pop(), generator.choice(grounds)
        for each in FAULTS[fault](ground):
            log.command(number, fault, each.ended, each.problems)
        found = repaired(ground)
        for ended in found.ended:
            log.command(number, fault, ended, ended.problems)
        row = {"round": number, "fault": fault, "part": ground.done[0].step.name, "named": len(found.named)}
        log.round({**row, "seconds": time.monotonic() - begun, **_sizes(ground.commands), "problems": found.problems})


def _new(grounds: Sequence[Ground]) -> list[str]:
    """The artifacts that no undisturbed command made, each as a fault.

    A report shows the sweeps of its model, so there may be another one, from when a sweep was not made again yet.
    """
    known = frozenset[str]().union(*(done.made for ground in grounds for done in ground.done))
    new = artifacts_in(grounds[0].store) - known
    return [f"{name} is new" for name in sorted(new) if not name.startswith("report")]


def _sizes(commands: Commands) -> dict[str, Any]:
    """The sizes of the store and of the folder of temporary files, and what is left in the store beside artifacts."""
    files, size = measured.size(commands.store)
    temporary_files, temporary = measured.size(commands.temporary)
    left = leftovers_in(commands.store)
    found = {"store_files": files, "store_bytes": size, "leftovers": len(left), "left": left[:10]}
    return {**found, "temporary_files": temporary_files, "temporary_bytes": temporary}


def main() -> int:
    """Runs the soak that the command line asks for; the exit code."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None, help="by default the time")
    parser.add_argument("--output", type=Path, default=Path("build/soak"))
    parser.add_argument("--fault", action="append", choices=list(FAULTS), help="only this one; repeatable")
    parser.add_argument("--short", action="store_true", help="a chain without training, and no process beside it")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else time.time_ns() % 1_000_000
    asked = Asked(given.output, given.minutes, seed, tuple(given.fault or FAULTS), given.short)
    shutil.rmtree(asked.output, ignore_errors=True)
    asked.output.mkdir(parents=True)
    print(f"seed {seed}, log in {asked.output}", flush=True)
    found = {"seed": seed, "minutes": asked.minutes, **soak(asked)}
    text = json.dumps(found, indent=2)
    (asked.output / "summary.json").write_text(text + "\n", encoding="utf-8")
    print(text)
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
