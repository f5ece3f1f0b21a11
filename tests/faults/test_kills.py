"""Moments at which commands are killed or interrupted: the store stays whole, and the next run is as undisturbed."""

from __future__ import annotations

import signal

import pytest
from faults.kills import QUICK, Chain, Moment, chain_in, moments, struck


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return chain_in(tmp_path_factory.mktemp("kills"), QUICK)


@pytest.mark.parametrize("index", range(len(QUICK)))
def test_nothing_is_lost_or_left_when_a_command_is_killed(chain: Chain, index: int) -> None:
    seen = struck(chain, list(moments(chain, len(QUICK), seed=4, names=QUICK))[index])
    assert seen.problems == [], seen


def test_damage_and_leftovers_are_found(chain: Chain) -> None:
    """The judgement itself: what it must find is put there."""
    (chain.commands.folder / ".deploytool-draft-abc").write_text("", encoding="utf-8")
    counts = next(done for done in chain.done if done.step.name == "counts")
    found = struck(chain, Moment(counts, (signal.SIGKILL,), 0.0, 0, 0.0))
    (chain.commands.folder / ".deploytool-draft-abc").unlink()
    assert found.problems == ["left for good: .deploytool-draft-abc"]
    verdict = next(name for name in chain.digests if name.startswith("verdict-"))
    damaged = next((chain.commands.store / verdict).glob("verdict*"))
    content = damaged.read_bytes()
    damaged.write_bytes(content + b" ")
    found = struck(chain, Moment(counts, (signal.SIGKILL,), 0.0, 0, 0.0))
    damaged.write_bytes(content)
    assert any(problem.startswith("damaged: ") for problem in found.problems)
