"""python -m tests.fuzz [FAMILY ...] --seed N [--cases N]: hostile inputs for the readers of deploytool."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.harness import FAMILIES, Tally, cases_of, run
from tests.fuzz.outcome import Case
from tests.fuzz.worker import Limits, families_of

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/helpers, which pytest finds by its own settings


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 if there was no fault; 130 after an interrupt, which still shows the table of what was tried."""
    asked = _parsed(arguments)
    limits = Limits(asked.memory << 20, asked.seconds)
    names = asked.families or list(families_of(FAMILIES))
    if asked.keep:
        _keep(names, asked.seed, asked.keep)
    if asked.cases is None:
        return _repeat(names, asked.seed, limits)
    tally, begun, interrupted = Tally(), time.monotonic(), False
    try:
        _run(tally, cases_of(names, asked.cases, asked.seed), asked, limits)
    except KeyboardInterrupt:
        interrupted = True
    if tally.faults:
        print(tally.fault_list(), end="\n\n")
    print(tally.table())
    seconds = time.monotonic() - begun
    rate = tally.tried / seconds
    print(f"{tally.tried:,} cases from seed {asked.seed} in {seconds:,.0f} s, {rate:,.0f} per second")
    return 130 if interrupted else 1 if tally.faults else 0


def _run(tally: Tally, cases: Iterator[Case], asked: argparse.Namespace, limits: Limits) -> None:
    """Adds the results of ``cases`` to ``tally``, and says every fault and, now and then, how many were tried."""
    said = time.monotonic()
    for result in run(cases, asked.jobs, limits):
        if tally.add(result):
            print(f"{result.case.family} --seed {result.case.seed}: {result.outcome}, {result.kind}", file=sys.stderr)
        if time.monotonic() - said > 30:
            said = time.monotonic()
            print(f"{tally.tried:,} of {asked.cases:,} cases, {tally.faults:,} faults", file=sys.stderr, flush=True)


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="by default all")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--cases", type=int, help="in total; by default one of each family, shown whole")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seconds", type=float, default=Limits().seconds, help="process time of a case")
    parser.add_argument("--memory", type=int, default=Limits().memory >> 20, help="memory of a case in MiB")
    parser.add_argument("--keep", type=Path, help="a folder for the inputs of that seed")
    return parser.parse_args(arguments)


def _repeat(names: list[str], seed: int, limits: Limits) -> int:
    """Shows one case of each family ``names`` whole."""
    faults = 0
    for result in run([Case(name, seed) for name in names], limits=limits):
        print(f"{result.case.family} --seed {seed}: {result.outcome} ({result.seconds:.2f} s)\n{result.detail}")
        faults += result.is_fault
    return 1 if faults else 0


def _keep(names: list[str], seed: int, folder: Path) -> None:
    """Writes the input of ``seed`` of each family into a folder of its name below ``folder``."""
    import random

    families = families_of(FAMILIES)
    for name in names:
        inputs = folder / name
        inputs.mkdir(parents=True)
        print(families[name].mutated(random.Random(f"{name} {seed}"), inputs))


if __name__ == "__main__":
    sys.exit(main())
