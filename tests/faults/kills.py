"""Kills commands at random moments and judges what they leave, and what the same commands make when they run again.

    PYTHONPATH=tests python -m faults.kills --moments 100 --seed 1

A small chain runs undisturbed first. Then, for every moment, what one of its steps made is deleted, and the step runs
again until a signal ends it: after a random part of its time, or as soon as it writes. Whatever is in the store then
must be whole. The step, run once more, must make the same artifacts and files, and leave nothing else.
Exit code 1 if anything went wrong. The moments take the steps in turn, so that every stage is met; that of the whole
chain has two turns. A step that ends before its moment runs again and is struck earlier.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from soak.chain import RECIPE, Commands, Done, Ended, Running, Step, artifacts_in, leftovers_in, undisturbed

from deploytool.base.errors import DeployError
from deploytool.base.interrupts import exit_code, sentence
from deploytool.store.artifact import open_artifact

SAMPLES: Final = ("--data", "digits", "--samples", "12")

STEPS: Final = (
    Step("pipeline", ("pipeline", "recipe.toml", "--set", "seed=3")),
    Step("model", ("train", "recipe.toml")),
    Step("graph", ("convert", "{model}", "-o", "trained.nir")),
    Step("program", ("map", "{graph}")),
    Step("wide", ("map", "{graph}", "--target", "simulator")),
    Step("emulated", ("run", "{program}", *SAMPLES)),
    Step("simulated", ("run", "{wide}", *SAMPLES, "--on", "simulator")),
    Step("stepped", ("run", "{program}", *SAMPLES, "--on", "quantised", "--time-steps", "6")),
    Step("compared", ("compare", "{emulated}", "{simulated}", "--explain")),
    Step("verdict", ("validate", "{emulated}", "{stepped}")),
    Step("sweep", ("sweep", "{model}", "--time-steps", "1,2", "--csv", "steps.csv")),
    Step("page", ("report", "{verdict}", "-o", "page.html")),
    Step("counts", ("export", "{emulated}", "--counts", "conv1", "-o", "counts.npy")),
    Step("package", ("package", "{program}", "-o", "net.zip")),
)
"""The chain; the first step is all of it in one process, from another seed. A page shows the sweeps that are there."""

QUICK: Final = ("pipeline", "model", "graph", "program", "emulated", "verdict", "page", "counts", "package", "sweep")
"""Steps of every stage."""

EARLIER: Final = 0.75
"""The part of its processor time after which a step is struck that ended before."""

TRIES: Final = 6
"""How often a step runs until it is struck."""

SIGNALS: Final[tuple[tuple[signal.Signals, ...], ...]] = (
    (signal.SIGKILL,),
    (signal.SIGTERM,),
    (signal.SIGKILL,),
    (signal.SIGINT,),
    (signal.SIGKILL,),
    (signal.SIGHUP,),
    (signal.SIGINT, signal.SIGINT),
)

NAMES: Final = 2
"""Names that are new in the store while an artifact is made: its lock, and its draft."""

FIRST_S: Final = 30.0
"""A process that does not handle signals within this time is not waited for."""

LAST_S: Final = 600.0
"""A process that does not get to a moment within this time is ended there."""


@dataclass(frozen=True)
class Chain:
    """What ``done`` made where nothing disturbed it: {name: digest} of artifacts, {name: content} of other files.

    ``busy_s`` is the processor time that each step took, which does not depend on what else the machine does.
    ``temporary`` are names in the folder of temporary files, where PyTorch keeps a cache.
    """

    commands: Commands
    done: Sequence[Done]
    busy_s: Sequence[float]
    digests: Mapping[str, str]
    files: Mapping[str, bytes]
    temporary: frozenset[str]

    def leftovers(self) -> list[str]:
        """What is in the store, beside it and among temporary files, and is not there undisturbed."""
        known = {*self.files, self.commands.store.name, *self.temporary}
        beside = [*self.commands.folder.iterdir(), *self.commands.temporary.iterdir()]
        return [*leftovers_in(self.commands.store), *sorted(path.name for path in beside if path.name not in known)]


@dataclass(frozen=True)
class Moment:
    """The signals that end the step ``done`` after ``busy_s`` of processor time, or when ``written`` names are new."""

    done: Done
    signals: tuple[signal.Signals, ...]
    busy_s: float
    written: int
    late_s: float

    @property
    def earlier(self) -> Moment:
        """A moment before this one; one by processor time if no names are seen in time."""
        return replace(self, written=0) if self.written else replace(self, busy_s=EARLIER * self.busy_s)

    @property
    def says(self) -> str:
        """The signals by their names."""
        return " ".join(number.name for number in self.signals)


@dataclass(frozen=True)
class Seen:
    """What was seen of ``moment``: at which ``stage`` the process was, how it ended, and what was wrong."""

    moment: Moment
    stage: str
    code: int
    left: int
    problems: list[str] = field(default_factory=list)


def chain_in(folder: Path, names: Sequence[str] | None = None) -> Chain:
    """The chain of the steps with ``names``, all by default, and those that they need, made in a new ``folder``."""
    commands = Commands(folder / "work", folder / "work" / "store", folder / "temporary")
    for path in (commands.folder, commands.temporary):
        path.mkdir(parents=True)
    (commands.folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    steps = STEPS if names is None else _with_needed(names)
    busy_s = [_of_children_s()]

    def tell(ended: Ended) -> None:
        busy_s.append(_of_children_s())
        if ended.code:
            raise SystemExit(f"deploytool {' '.join(ended.arguments)} fails undisturbed: {ended.says}")

    done = undisturbed(commands, steps, {}, tell)
    each_s = [after - before for before, after in pairwise(busy_s)]
    temporary = frozenset(path.name for path in commands.temporary.iterdir())
    return Chain(commands, done, each_s, digests_in(commands.store), files_in(commands.folder), temporary)


def _of_children_s() -> float:
    """The processor time of all processes that this one started, and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _with_needed(names: Sequence[str]) -> tuple[Step, ...]:
    """The steps with ``names``, and those before them whose artifacts they take."""
    wanted = set(names)
    for step in reversed(STEPS):
        if step.name in wanted:
            wanted |= {text[1:-1] for text in step.arguments if text.startswith("{")}
    return tuple(step for step in STEPS if step.name in wanted)


def digests_in(store: Path) -> dict[str, str]:
    """{name: digest} of the artifacts in ``store``, all of whose files are intact. Raises DeployError otherwise."""
    return {name: open_artifact(store / name).digest for name in sorted(artifacts_in(store))}


def files_in(folder: Path) -> dict[str, bytes]:
    """{name: content} of the files in ``folder`` itself."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def moments(chain: Chain, number: int, seed: int, names: Sequence[str] | None = None) -> Iterator[Moment]:
    """``number`` moments, drawn with ``seed``, in the steps with ``names`` in turn, all by default."""
    draws = random.Random(seed)
    steps = [each for each in zip(chain.done, chain.busy_s, strict=True) if names is None or each[0].step.name in names]
    if names is None:
        steps.insert(len(steps) // 2, steps[0])
    for index in range(number):
        done, busy_s = steps[index % len(steps)]
        signals = SIGNALS[(index + index // len(steps)) % len(SIGNALS)]
        written = draws.randint(1, max(1, NAMES * len(done.made)))
        share, late_s = draws.uniform(0, 0.95), draws.uniform(0, 0.005)
        yield Moment(done, signals, share * busy_s, written * draws.randint(0, 1), late_s)


def struck(chain: Chain, moment: Moment) -> Seen:
    """What was seen when ``moment`` struck a process."""
    commands, done = chain.commands, moment.done
    problems: list[str] = []
    for _ in range(TRIES):
        _delete(chain, done)
        running = commands.start(done.arguments)
        sent = _sent(running, moment, commands.folder)
        ended = running.end()
        problems += _ended_wrongly(ended, sent)
        if sent:
            break
        moment = moment.earlier
    stage = _stage(done, artifacts_in(commands.store))
    problems += _broken(chain, whole=False)
    left = len(chain.leftovers())
    again = commands.run(done.arguments)
    if again.code != 0:
        problems.append(f"the next run ends with {again.code}: {again.says}")
    elif again.answer.get("artifact") != done.artifact:
        problems.append(f"the next run makes {again.answer.get('artifact')}, and not {done.artifact}")
    problems += _broken(chain, whole=True)
    return Seen(moment, stage, ended.code, left, problems)


def _delete(chain: Chain, done: Done) -> None:
    """Deletes what ``done`` made, and is still there."""
    for name in done.made:
        shutil.rmtree(chain.commands.store / name, ignore_errors=True)
    for name in _written_by(done):
        (chain.commands.folder / name).unlink(missing_ok=True)


def _written_by(done: Done) -> list[str]:
    """The names of the files that ``done`` writes beside the store."""
    return [text for option, text in zip(done.arguments, done.arguments[1:], strict=False) if option in ("-o", "--csv")]


def _sent(running: Running, moment: Moment, folder: Path) -> tuple[signal.Signals, ...]:
    """The signals of ``moment`` that were sent to ``running``, which did not end before."""
    if moment.signals != (signal.SIGKILL,):
        _wait(running, lambda: _handles_signals(running.process.pid), FIRST_S)
    if moment.written:
        seen: set[Path] = set()
        _wait(running, lambda: _new_names(folder, seen) >= moment.written, LAST_S)
        time.sleep(moment.late_s)
    else:
        _wait(running, lambda: _busy_s(running.process.pid) >= moment.busy_s, LAST_S)
    sent = []
    for number in moment.signals:
        if running.process.poll() is None:
            running.process.send_signal(number)
            sent.append(number)
            time.sleep(moment.late_s)
    return tuple(sent)


def _wait(running: Running, over: Callable[[], bool], seconds: float) -> None:
    """Waits until ``over()`` or the end of ``running``, ``seconds`` at most."""
    until = time.perf_counter() + seconds
    while running.process.poll() is None and time.perf_counter() < until and not over():
        time.sleep(0.0005)


def _handles_signals(pid: int) -> bool:
    """Whether deploytool handles signals in the process ``pid``: SIGHUP too, which Python alone does not."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    caught = next((line.split()[1] for line in lines if line.startswith("SigCgt")), "0")
    return bool(int(caught, 16) >> (signal.SIGHUP - 1) & 1)


def _busy_s(pid: int) -> float:
    """The processor time of the process ``pid``; none if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _new_names(folder: Path, seen: set[Path]) -> int:
    """The number of names of drafts, locks and unfinished work in ``folder`` that have been ``seen``."""
    patterns = (".*", "store/.*", "store/unfinished/*", "store/unfinished/*/*")
    seen.update(path for pattern in patterns for path in folder.glob(pattern))
    return len(seen)


def _stage(done: Done, there: set[str]) -> str:
    """The stage that ``done`` was in when these artifacts were ``there``."""
    if done.step.name != "pipeline":
        return done.arguments[0]
    kinds = ("model", "graph", "program", "recording", "verdict", "report")
    wanted = Counter(name.partition("-")[0] for name in done.made)
    found = Counter(name.partition("-")[0] for name in done.made & there)
    missing = next((kind for kind in kinds if found[kind] < wanted[kind]), "end")
    return f"pipeline: {missing}"


def _ended_wrongly(ended: Ended, sent: Sequence[signal.Signals]) -> list[str]:
    """What is wrong with the way a process ended that got the signals ``sent``."""
    found = list(ended.problems)
    if not sent or signal.SIGKILL in sent:
        explained = {0, -signal.SIGKILL}
    else:
        explained = {0, exit_code(sent[0])}
        told = ended.stderr.count(sentence(sent[0]))
        if ended.code and (told != 1 or not ended.stderr.endswith(sentence(sent[0]) + "\n")):
            found.append(f"it says its sentence {told} times, and at the end {ended.stderr[-200:]!r}")
    if ended.code not in explained:
        found.append(f"exit code {ended.code}: {ended.says}")
    found += [f"stderr has {word}" for word in ("Traceback", "KeyboardInterrupt") if word in ended.stderr]
    return found


def _broken(chain: Chain, whole: bool) -> list[str]:
    """What is wrong with the store and the files beside it; if ``whole``, they should be as undisturbed."""
    commands = chain.commands
    try:
        digests = digests_in(commands.store)
    except DeployError as error:
        return [f"damaged: {error}"]
    files = {name: content for name, content in files_in(commands.folder).items() if name in chain.files}
    found = [f"another artifact: {name}" for name in digests if digests[name] != chain.digests.get(name)]
    found += [f"another file: {name}" for name in files if files[name] != chain.files[name]]
    if whole:
        found += [f"missing: {name}" for name in (*chain.digests, *chain.files) if name not in {**digests, **files}]
        found += [f"left for good: {name}" for name in chain.leftovers()]
    return found


def table(seen: Sequence[Seen]) -> str:
    """What was seen, one row per stage."""
    heads = ("stage", "moments", "killed", "signalled", "ended before", "left something", "faults")
    stages = sorted({each.stage for each in seen}, key=lambda stage: (stage.partition(":")[0], stage))
    rows = [(stage, *_figures([each for each in seen if each.stage == stage])) for stage in stages]
    rows.append(("all", *_figures(seen)))
    return "\n".join(f"{row[0]:<22}" + "".join(f"{text:>16}" for text in row[1:]) for row in (heads, *rows))


def _figures(seen: Sequence[Seen]) -> tuple[int, ...]:
    return (
        len(seen),
        sum(each.code < 0 for each in seen),
        sum(each.code > 0 for each in seen),
        sum(each.code == 0 for each in seen),
        sum(each.left > 0 for each in seen),
        sum(bool(each.problems) for each in seen),
    )


def main() -> int:
    """The exit code: 0 if nothing went wrong."""
    parser = argparse.ArgumentParser(prog="python -m faults.kills", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--moments", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        chain = chain_in(Path(folder))
        seen: list[Seen] = []
        with contextlib.suppress(KeyboardInterrupt):
            for index, moment in enumerate(moments(chain, asked.moments, asked.seed)):
                seen.append(each := struck(chain, moment))
                said = f"moment {index}, {each.stage}, {moment.says}"
                print(f"{said}: exit code {each.code}", file=sys.stderr, flush=True)
                for problem in each.problems:
                    print(f"{said}: {problem}", flush=True)
    print(table(seen))
    print(f"{len(seen)} moments from seed {asked.seed} in {time.monotonic() - begun:.0f} s")
    return 1 if any(each.problems for each in seen) else 0


if __name__ == "__main__":
    sys.exit(main())
