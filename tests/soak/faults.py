"""The faults that a soak injects, each a function of a `Ground` that returns how the commands it disturbed ended."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from soak.chain import Commands, Done, Ended, Running, artifacts_in

MANIFEST: Final = "manifest.json"


@dataclass(frozen=True)
class Disturbed:
    """How a command ended that a fault disturbed, and the exit codes that the fault explains."""

    ended: Ended
    explained: frozenset[int]

    @property
    def problems(self) -> list[str]:
        """What is wrong with the way it ended."""
        found = self.ended.problems
        if not found and self.ended.code not in self.explained and not self.ended.was_starting:
            found = [f"exit code {self.ended.code}, which the fault does not explain: {self.ended.says}"]
        return found


@dataclass(frozen=True)
class Ground:
    """Where faults are injected: ``done`` is what a part of the chain does where nothing disturbs it."""

    commands: Commands
    done: Sequence[Done]
    random: random.Random

    @property
    def store(self) -> Path:
        return self.commands.store

    @property
    def there(self) -> list[str]:
        """The artifacts in the store that the part made."""
        made = frozenset[str]().union(*(done.made for done in self.done))
        return sorted(made & artifacts_in(self.store))

    def again(self) -> Done:
        """A step that makes something, or writes files; what it made is deleted, so that it works again."""
        return self.unmade(self.random.choice(self.done))

    def unmade(self, done: Done) -> Done:
        """``done``, some or all of whose artifacts are deleted."""
        made = sorted(done.made)
        for name in self.random.sample(made, self.random.randint(1, len(made))) if made else ():
            shutil.rmtree(self.store / name, ignore_errors=True)
        return done

    def after(self, running: Running, seconds: float) -> None:
        """Waits up to ``seconds`` for ``running``."""
        until = time.perf_counter() + seconds
        while running.process.poll() is None and time.perf_counter() < until:
            time.sleep(0.002)


Fault = Callable[[Ground], list[Disturbed]]

ENDS: Final[Mapping[signal.Signals, frozenset[int]]] = MappingProxyType(
    {
        signal.SIGKILL: frozenset({-signal.SIGKILL}),
        signal.SIGINT: frozenset({130}),
        signal.SIGTERM: frozenset({-signal.SIGTERM, 143}),
    }
)
"""The exit codes of a command that a signal ended."""


def nothing(ground: Ground) -> list[Disturbed]:
    """No fault."""
    done = ground.again()
    return [Disturbed(ground.commands.run(done.arguments), frozenset({0, 4}))]


def _signalled(*numbers: signal.Signals) -> Fault:
    def fault(ground: Ground) -> list[Disturbed]:
        done = ground.again()
        running = ground.commands.start(done.arguments)
        ground.after(running, ground.random.uniform(0, 1.3 * done.seconds))
        sent = []
        for number in numbers:
            if running.process.poll() is None:
                running.process.send_signal(number)
                sent.append(number)
                ground.after(running, ground.random.choice((0, 0.01, 0.1)))
        return [Disturbed(running.end(), frozenset({0, 4}.union(*(ENDS[number] for number in sent))))]

    return fault


def flipped(ground: Ground) -> list[Disturbed]:
    """A flipped bit in an artifact, which the command `show` must find and name."""
    name = ground.random.choice(ground.there)
    flip_in(ground.store / name, ground.random)
    return [Disturbed(_naming(ground, name), frozenset({4}))]


def cut(ground: Ground) -> list[Disturbed]:
    """A file of an artifact without its end."""
    name = ground.random.choice(ground.there)
    path = _file_in(ground.store / name, ground.random)
    content = path.read_bytes()
    path.write_bytes(content[: ground.random.randrange(len(content))])
    return [Disturbed(_naming(ground, name), frozenset({4}))]


def missing(ground: Ground) -> list[Disturbed]:
    """A file of an artifact deleted."""
    name = ground.random.choice(ground.there)
    _file_in(ground.store / name, ground.random, manifest=False).unlink()
    return [Disturbed(_naming(ground, name), frozenset({4}))]


def deleted(ground: Ground) -> list[Disturbed]:
    """Artifacts deleted while a command runs."""
    done = ground.again()
    running = ground.commands.start(done.arguments)
    ground.after(running, ground.random.uniform(0, done.seconds))
    there = ground.there
    for name in ground.random.sample(there, min(len(there), ground.random.randint(1, 3))):
        shutil.rmtree(ground.store / name, ignore_errors=True)
    return [Disturbed(running.end(), frozenset({0, 4}))]


def unfinished(ground: Ground) -> list[Disturbed]:
    """A training or a run is killed, and a bit of its unfinished work is flipped."""
    done = ground.unmade(max(ground.done, key=lambda done: done.seconds))
    running = ground.commands.start(done.arguments)
    until = time.perf_counter() + 2 * done.seconds
    while running.process.poll() is None and time.perf_counter() < until and not _parts(ground.store):
        time.sleep(0.001)
    ground.after(running, ground.random.uniform(0, 0.3))
    running.process.kill()
    found = [Disturbed(running.end(), frozenset({0, 4, -signal.SIGKILL}))]
    if parts := _parts(ground.store):
        _flip(ground.random.choice(parts), ground.random)
    return found


def limited(ground: Ground) -> list[Disturbed]:
    """A command that can write no file above a size, as on a full disk."""
    done = ground.again()
    size = round(2 ** ground.random.uniform(0, 18))
    return [Disturbed(ground.commands.run(done.arguments, file_max=size), frozenset({0, 4}))]


def together(ground: Ground) -> list[Disturbed]:
    """Two to four commands at once, the same or others."""
    number = ground.random.choice((2, 2, 3, 4))
    one = ground.again()
    same = ground.random.random() < 0.6
    chosen = [one] * number if same else [one, *(ground.again() for _ in range(number - 1))]
    running = [ground.commands.start(each.arguments) for each in chosen]
    return [Disturbed(each.end(), frozenset({0} if same and _has_inputs(one, ground) else {0, 4})) for each in running]


def one_killed(ground: Ground) -> list[Disturbed]:
    """Three of the same command at once, one of which is killed."""
    done = ground.again()
    running = [ground.commands.start(done.arguments) for _ in range(3)]
    ground.after(running[0], ground.random.uniform(0, 1.3 * done.seconds))
    running[0].process.kill()
    codes = frozenset({0} if _has_inputs(done, ground) else {0, 4})
    return [
        Disturbed(each.end(), codes | {-signal.SIGKILL} if number == 0 else codes)
        for number, each in enumerate(running)
    ]


def _has_inputs(done: Done, ground: Ground) -> bool:
    """Whether no artifact that ``done`` names was deleted."""
    named = [text for text in done.arguments if "-" in text and (text.partition("-")[0]) in READ_AS_INPUT]
    return all((ground.store / name / MANIFEST).is_file() for name in named)


READ_AS_INPUT: Final = ("model", "graph", "program", "recording", "verdict")


def _naming(ground: Ground, name: str) -> Ended:
    """How `show` of ``name`` ended, whose message must name it."""
    ended = ground.commands.run(("show", str(ground.store / name)))
    if ended.code == 4 and name not in ended.says:
        return Ended(
            ended.arguments, 1, ended.stdout, f"the damage of {name} is not named: {ended.says}", ended.seconds
        )
    return ended


def flip_in(folder: Path, random: random.Random) -> Path:
    """The file of the artifact in ``folder`` in which a bit was flipped."""
    path = _file_in(folder, random)
    _flip(path, random)
    return path


def _file_in(folder: Path, random: random.Random, manifest: bool = True) -> Path:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    return random.choice([path for path in files if manifest or path.name != MANIFEST])


def _flip(path: Path, random: random.Random) -> None:
    with path.open("r+b") as file:
        length = file.seek(0, 2)
        place = random.randrange(max(length, 1))
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([(byte[0] if byte else 0) ^ 1 << random.randrange(8)]))


def _parts(store: Path) -> list[Path]:
    """The files of unfinished work in ``store``."""
    return sorted(path for path in store.glob("unfinished/*/**/*") if path.is_file() and path.suffix != ".lock")


FAULTS: Final[Mapping[str, Fault]] = MappingProxyType(
    {
        "nothing": nothing,
        "killed": _signalled(signal.SIGKILL),
        "interrupted": _signalled(signal.SIGINT),
        "interrupted twice": _signalled(signal.SIGINT, signal.SIGINT),
        "terminated": _signalled(signal.SIGTERM),
        "flipped bit": flipped,
        "cut file": cut,
        "missing file": missing,
        "deleted artifacts": deleted,
        "flipped bit in unfinished work": unfinished,
        "small file size": limited,
        "several at once": together,
        "several at once, one killed": one_killed,
    }
)
