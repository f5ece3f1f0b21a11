"""Four processes on one store: each artifact is made once, whoever makes it, and nothing of the work is left."""

from __future__ import annotations

import re
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from faults.kills import digests_in
from soak.chain import RECIPE, Commands, Ended, Running, leftovers_in

PIPELINE = ("pipeline", "recipe.toml")
OTHER = (*PIPELINE, "--set", "seed=3")
TRAINING = ("train", "recipe.toml", "--set", "train.epochs=60", "--set", "data.test_samples=10")


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "temporary").mkdir()
    return Commands(tmp_path, tmp_path / "store", tmp_path / "temporary")


def at_once(commands: Commands, asked: Sequence[tuple[str, ...]]) -> list[Ended]:
    """How the commands ``asked`` ended that ran at the same time."""
    return all_of([commands.start(arguments) for arguments in asked])


def all_of(running: Sequence[Running]) -> list[Ended]:
    """How ``running`` commands ended, all of which are read at the same time."""
    ended: dict[int, Ended] = {}
    threads = [
        threading.Thread(target=lambda index, each: ended.update({index: each.end()}), args=(index, each))
        for index, each in enumerate(running)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [ended[index] for index in sorted(ended)]


def made_by(ended: Sequence[Ended]) -> Counter[str]:
    """{artifact: how many times it was made}."""
    return Counter(name for each in ended for name in re.findall(r"^\w+ +(\S+)  made$", each.stderr, re.MULTILINE))


def waited(ended: Sequence[Ended]) -> set[str]:
    """The processes that others said that they wait for."""
    said = r"^\w+ +waits for process (\d+), which is making the same one$"
    return {number for each in ended for number in re.findall(said, each.stderr, re.MULTILINE)}


def test_four_processes_make_every_artifact_of_one_recipe_and_of_two_once(commands: Commands) -> None:
    same = at_once(commands, [PIPELINE] * 4)
    assert [(each.code, each.problems) for each in same] == [(0, [])] * 4, [each.says for each in same]
    assert len({each.answer["artifact"] for each in same}) == 1
    assert made_by(same) == Counter(digests_in(commands.store).keys())
    assert waited(same)
    before = digests_in(commands.store)
    two = at_once(commands, [OTHER, PIPELINE, OTHER, PIPELINE])
    assert [(each.code, each.problems) for each in two] == [(0, [])] * 4, [each.says for each in two]
    added = digests_in(commands.store).keys() - before.keys()
    assert made_by(two) == Counter(added)
    assert leftovers_in(commands.store) == []


def test_a_training_whose_process_is_killed_goes_on_in_another_at_once(commands: Commands) -> None:
    running = [commands.start(TRAINING) for _ in range(4)]
    checkpoints = commands.store / "unfinished"
    while not list(checkpoints.glob("*/checkpoint.json")):
        time.sleep(0.01)
    holder = next(checkpoints.glob("*.lock")).read_text(encoding="utf-8").split()[0]
    killed = next(each for each in running if str(each.process.pid) == holder)
    killed.process.send_signal(signal.SIGKILL)
    ended = all_of(running)
    assert sorted(each.code for each in ended) == [-signal.SIGKILL, 0, 0, 0]
    assert len({each.answer["artifact"] for each in ended if each.code == 0}) == 1
    assert made_by(ended) == Counter(digests_in(commands.store).keys())
    assert sum("continues with epoch" in each.stderr for each in ended) == 1
    assert leftovers_in(commands.store) == []


def test_a_store_can_be_shown_while_others_write_to_it_and_delete(commands: Commands) -> None:
    made = commands.run(("convert", "zoo:digits"))
    assert made.code == 0, made.says
    source, over = commands.store / made.answer["artifact"], threading.Event()

    def change() -> None:
        """Artifacts come whole, as commands store them, and go file by file."""
        for index in range(10**9):
            folder = commands.store / f"recording-{index % 40:012x}"
            if over.is_set():
                return
            if folder.exists():
                shutil.rmtree(folder)
            else:
                shutil.copytree(source, commands.folder / "copy").rename(folder)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        asked = (("show",), ("show", "recording@latest"), ("verify",), ("map", made.answer["artifact"]))
        ended = at_once(commands, [arguments for arguments in asked for _ in range(2)])
    finally:
        over.set()
        changing.join()
    checked = [each for each in ended if each.arguments[0] == "verify"]  # which finds folders with a wrong name
    assert {each.code for each in checked} <= {0, 4}
    assert not any("Traceback" in each.stderr for each in checked)
    assert [problem for each in ended if each not in checked for problem in each.problems] == []
    assert [each.code for each in ended if each.arguments[0] == "map" or each.arguments == ("show",)] == [0] * 4
