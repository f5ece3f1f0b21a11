"""The store as a cache of stages: what was asked for before is not computed again, and only one process writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploytool.base.errors import ArtifactError
from deploytool.base.messages import Messages
from deploytool.store import manifest as manifests
from deploytool.store.artifact import Request, Store
from deploytool.store.cache import StageCache

REQUEST = Request("model", {"data": "d"}, {"train": {"time_steps": 1}})


@pytest.fixture
def cache(tmp_path: Path) -> StageCache:
    return StageCache(Store(tmp_path / "store"), Messages())


def write(value: str, folder: Path) -> None:
    (folder / "weights.txt").write_text(value, encoding="utf-8")


def refuse() -> str:
    raise AssertionError("computed again")


def test_what_was_asked_before_is_not_computed_again(cache: StageCache, capsys: pytest.CaptureFixture[str]) -> None:
    made = cache.stored(REQUEST, lambda: "w", write)
    assert cache.stored(REQUEST, refuse, write) == made
    assert (made.path / "weights.txt").read_text(encoding="utf-8") == "w"
    said = capsys.readouterr().err.splitlines()
    assert said == [f"model      {made.name}  made", f"model      {made.name}  already there"]


@pytest.mark.parametrize(
    "other",
    [
        Request("graph", REQUEST.inputs, REQUEST.recipe),
        Request("model", {"data": "e"}, REQUEST.recipe),
        Request("model", REQUEST.inputs, {"train": {"time_steps": 2}}),
    ],
)
def test_another_request_is_computed(cache: StageCache, other: Request) -> None:
    made = cache.stored(REQUEST, lambda: "w", write)
    assert cache.stored(other, lambda: "v", write).digest != made.digest


def test_all_processes_but_the_first_end_without_writing(cache: StageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        cache.stored(REQUEST, lambda: computed.append(1), lambda _, folder: write("w", folder))
    assert ended.value.code == 0
    assert computed == [1]
    assert cache.store.find(REQUEST) is None
    monkeypatch.setenv("RANK", "0")
    cache.stored(REQUEST, lambda: "w", write)
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit):
        cache.stored(REQUEST, refuse, write)


def test_unfinished_work_is_kept_until_it_is_finished(cache: StageCache) -> None:
    kept: list[Path] = []

    def begin(folder: Path) -> str:
        folder.mkdir(parents=True)
        (folder / "part").write_text("half", encoding="utf-8")
        raise KeyboardInterrupt

    def finish(folder: Path) -> str:
        kept.append(folder)
        return (folder / "part").read_text(encoding="utf-8")

    with pytest.raises(KeyboardInterrupt):
        cache.continued(REQUEST, begin, write)
    made = cache.continued(REQUEST, finish, write)
    assert (made.path / "weights.txt").read_text(encoding="utf-8") == "half"
    assert sorted(cache.store.root.iterdir()) == [made.path]
    assert not kept[0].exists()


OTHER = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from deploytool.base.messages import Messages
from deploytool.store import faults
from deploytool.store.artifact import Request, Store
from deploytool.store.cache import StageCache
faults.required_files = lambda kind: ()
cache = StageCache(Store(Path({root!r})), Messages())
request = Request("model", {{"data": "d"}}, {{"train": {{"time_steps": 1}}}})
"""


def other_process(cache: StageCache, code: str) -> subprocess.Popen[str]:
    """A process that runs ``code`` with a ``cache`` of the same store and the same ``request``."""
    whole = OTHER.format(path=sys.path, root=str(cache.store.root)) + code
    return subprocess.Popen([sys.executable, "-c", whole], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_do_not_work_on_one_request(cache: StageCache) -> None:
    """The second one waits until the first has stored its artifact, and takes it."""
    with cache.turn(REQUEST) as found:
        assert found is None
        other = other_process(cache, "print(cache.stored(request, lambda: 1 / 0, None).name)")
        assert other.stderr is not None
        said = f"model      waits for process {os.getpid()}, which is making the same one\n"
        assert other.stderr.readline() == said
        made = cache.store.put(REQUEST, lambda folder: write("w", folder))
    out, _ = other.communicate(timeout=60)
    assert out.strip() == made.name
    assert sorted(cache.store.root.iterdir()) == [made.path]


STUCK = """
import time
def write(_, folder):
    (folder / "half.txt").write_text("half")
    print("writing", flush=True)
    time.sleep(600)
cache.stored(request, lambda: 1, write)
"""


def test_a_killed_process_locks_nothing_and_the_next_one_removes_what_it_left(
    cache: StageCache, capsys: pytest.CaptureFixture[str]
) -> None:
    other = other_process(cache, STUCK)
    assert other.stdout is not None
    assert other.stdout.readline() == "writing\n"
    drafts = list(cache.store.root.glob(".model-*"))
    assert [[path.name for path in draft.iterdir()] for draft in drafts] == [["half.txt"]]
    cache.store.remove_leftovers()
    assert drafts[0].exists()
    other.kill()
    other.communicate()
    made = cache.stored(REQUEST, lambda: "w", write)
    assert sorted(cache.store.root.iterdir()) == [made.path]
    assert "waits" not in capsys.readouterr().err


def test_processes_of_torchrun_do_not_wait_for_another_training(
    cache: StageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with cache.turn(REQUEST), pytest.raises(ArtifactError, match=f"process {os.getpid()} is making the same one"):
        cache.stored(REQUEST, refuse, write)


def test_an_unwritable_store_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    cache = StageCache(Store(tmp_path / "file"), Messages())
    with pytest.raises(ArtifactError, match="need a writable --store"):
        cache.stored(REQUEST, refuse, write)


def test_a_damaged_artifact_is_not_taken_for_the_answer(cache: StageCache) -> None:
    made = cache.stored(REQUEST, lambda: "w", write)
    (made.path / "weights.txt").write_text("x", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"weights\.txt"):
        cache.stored(REQUEST, refuse, write)


def test_unfinished_work_goes_through_no_link(cache: StageCache, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    kept = cache.store.unfinished(REQUEST)
    for link, target in (
        (kept.parent, tmp_path / "elsewhere"),
        (kept, tmp_path / "elsewhere"),
        (kept / ".draft", tmp_path / "victim"),
        (kept.with_suffix(".lock"), tmp_path / "victim"),
    ):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
        with pytest.raises(ArtifactError, match=r"a link; need unfinished work|cannot be written"):
            cache.continued(REQUEST, lambda folder: (folder.mkdir(), "w")[1], write)
        link.unlink()
        assert not list((tmp_path / "elsewhere").iterdir())
        assert not (tmp_path / "victim").exists()
    assert cache.continued(REQUEST, lambda _: "w", write)


def test_a_clock_that_was_set_back_is_said(
    cache: StageCache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(manifests, "_now", lambda: "2026-11-28T18:00:00.000001Z")
    later = cache.stored(REQUEST, lambda: "w", write)
    assert "clock" not in capsys.readouterr().err
    monkeypatch.setattr(manifests, "_now", lambda: "2026-11-27T18:00:00.000001Z")
    cache.stored(Request("model", {"data": "d"}, {"train": {"epochs": 2}}), lambda: "v", write)
    assert (
        f"{later.name} was made later than now: the clock was set back, and model@latest stays this one until then.\n"
    ) in capsys.readouterr().err
    assert cache.store.get("model@latest").name == later.name
