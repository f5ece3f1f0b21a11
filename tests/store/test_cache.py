"""The store as a cache of stages: what was asked for before is not computed again, and only one process writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploytool.base.errors import ArtifactError
from deploytool.base.messages import Messages
from deploytool.store.artifact import Request, Store
from deploytool.store.cache import StageCache

REQUEST = Request("model", {"data": "d"}, {"train": {"epochs": 1}})


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
        Request("model", REQUEST.inputs, {"train": {"epochs": 2}}),
    ],
)
def test_another_request_is_computed(cache: StageCache, other: Request) -> None:
    made = cache.stored(REQUEST, lambda: "w", write)
    assert cache.stored(other, lambda: "v", write).digest != made.digest


def test_all_processes_but_the_first_end_without_writing(cache: StageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    monkeypatch.setenv("RANK", "1")
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
    def begin() -> None:
        with cache.unfinished(REQUEST) as folder:
            folder.mkdir(parents=True)
            (folder / "part").write_text("half", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin()
    with cache.unfinished(REQUEST) as again:
        assert (again / "part").read_text(encoding="utf-8") == "half"
    assert not again.exists()
    assert not again.parent.exists()


def test_two_processes_do_not_work_on_one_request(cache: StageCache) -> None:
    """The second one waits until the first has stored its artifact, and takes it."""
    code = f"""
import sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from deploytool.base.messages import Messages
from deploytool.store.artifact import Request, Store
from deploytool.store.cache import StageCache
cache = StageCache(Store(Path({str(cache.store.root)!r})), Messages())
request = Request("model", {{"data": "d"}}, {{"train": {{"epochs": 1}}}})
with cache.unfinished(request):
    print(cache.stored(request, lambda: 1 / 0, None).name)
"""
    with cache.unfinished(REQUEST):
        other = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert other.stderr is not None
        assert "another process makes the same one" in other.stderr.readline()
        made = cache.stored(REQUEST, lambda: "w", write)
    out, _ = other.communicate(timeout=60)
    assert out.strip() == made.name
    assert not (cache.store.root / "unfinished").exists()


def test_a_damaged_artifact_is_not_taken_for_the_answer(cache: StageCache) -> None:
    made = cache.stored(REQUEST, lambda: "w", write)
    (made.path / "weights.txt").write_text("x", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"weights\.txt"):
        cache.stored(REQUEST, refuse, write)
