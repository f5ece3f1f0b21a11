"""A small store with every kind of artifact, in which one payload is changed and every digest made right again."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
from helpers.recordings import recording, with_windows
from helpers.sweeps import SWEEP

from deploytool.base.digest import file_digest
from deploytool.base.json_text import canonical_json
from deploytool.base.messages import Messages
from deploytool.ir.recording import Recording
from deploytool.ir.recording_file import save_recording
from deploytool.ir.self_test import Answer, Case, SelfTest, Speed, as_json
from deploytool.ir.speech import Separated
from deploytool.ir.sweep_file import save_sweep
from deploytool.ir.target import Watch
from deploytool.recipe import ValidateSection
from deploytool.run.jobs.job import Job
from deploytool.store import manifest as manifests
from deploytool.store.artifact import Request, Store
from deploytool.store.cache import StageCache
from deploytool.store.file_names import SELFTEST, SELFTEST_PAGE
from deploytool.workflow.compare import Asked, compare
from deploytool.workflow.convert import convert
from deploytool.workflow.map import map_graph
from deploytool.workflow.report import report
from deploytool.workflow.run import run
from deploytool.workflow.sources.samples import samples
from deploytool.workflow.validate import validate

QUIET: Final = Messages(quiet=True)
SAMPLES: Final = 2
FOLLOWED_MAX: Final = 12
CREATED: Final = "2026-11-29T00:00:00.000000Z"
"""The time of every artifact, so that equal seeds give equal bytes."""


def opened(root: Path) -> StageCache:
    return StageCache(Store(root, QUIET), QUIET)


@cache
def seed_store() -> Path:
    """The store, made once in a process: a shipped model, its graph, programs, recordings, verdicts, and the rest."""
    root = Path(tempfile.mkdtemp(prefix="fuzz-store-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    cache_ = opened(root)
    graph = convert(cache_, "zoo:digits")
    data = samples("digits", None, None, SAMPLES, _plain())
    programs = [map_graph(cache_, graph, "speck2e"), map_graph(cache_, graph, "simulator")]
    recordings = [
        run(cache_, programs[0].name, Job("emulator", watch=Watch(rasters=1)), data),
        run(cache_, programs[1].name, Job("simulator", watch=Watch(rasters=1)), data),
    ]
    limits = ValidateSection(max_spike_difference=50)
    verdict = validate(cache_, [each.name for each in recordings], limits)
    compare(cache_, recordings[0].name, recordings[1].name, Asked())
    for value in (with_windows(recording(3)), _spoken(2)):
        cache_.store.put(
            Request("recording", {}, {"number": len(value)}), lambda folder, v=value: save_recording(v, folder)
        )
    cache_.store.put(
        Request("sweep", {"model": graph.manifest.inputs["model"]}, {"sweep": 1}),
        lambda folder: save_sweep(SWEEP, folder),
    )
    cache_.store.put(Request("selftest", {}, {"device": "x"}), _write_self_test)
    report(cache_, verdict.name, 1)
    for kind in manifests.KINDS:
        for folder in kinds(root, kind):
            values = json.loads((folder / manifests.FILE).read_text(encoding="utf-8"))
            write_manifest(folder, {**values, "created": CREATED})
    return root


def _plain() -> Any:
    from deploytool.data.formats.reading import AS_IT_IS

    return AS_IT_IS


def _spoken(count: int) -> Recording:
    rng = np.random.default_rng(2)
    waves = rng.normal(size=(count, 2, 800)).astype(np.float32)
    found = recording(count, kept=0)
    return replace(
        found,
        outputs=(),
        counts={},
        activity={},
        load={},
        speech=Separated(waves, {"PTL": waves + 0.1}, 8000, "voices", True),
    )


def _write_self_test(folder: Path) -> None:
    found = SelfTest(
        "board:0",
        "speck2e",
        (Case("one", 0, "one spike", True, "", 3), Case("two", 1, "two spikes", False, "spike 2 differs", 5)),
        (Answer("order", 0, "in which order?", "rows", "rows"), Answer("tick", 0, "a tick?", "yes", None)),
        (Speed(0, 1000, 10_000, 0.5),),
        1.5,
    )
    (folder / SELFTEST).write_text(canonical_json(as_json(found)))
    (folder / SELFTEST_PAGE).write_text("<html></html>")


def copy_of_store(folder: Path) -> Path:
    """A copy of the seed store in ``folder``."""
    root = folder / "store"
    shutil.copytree(seed_store(), root)
    return root


def kinds(root: Path, kind: str) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.name.startswith(f"{kind}-"))


def seal(folder: Path) -> Path:
    """Makes the manifest, the name of ``folder`` and those of all that is made from it right again; the new folder."""
    path = folder / manifests.FILE
    values = json.loads(path.read_text(encoding="utf-8"))
    values["files"] = {
        each.relative_to(folder).as_posix(): file_digest(each)
        for each in sorted(folder.rglob("*"))
        if each.is_file() and each.name != manifests.FILE
    }
    return write_manifest(folder, values)


def write_manifest(folder: Path, values: dict[str, Any], followed: int = 0) -> Path:
    """Writes ``values`` as the manifest of ``folder``, with digests that match; the new folder.

    What is made from it follows, at most `FOLLOWED_MAX` times: artifacts may be made from each other.
    """
    before = values["digest"]
    try:
        values["digest"] = manifests._digest_of(values)
        values["created_check"] = manifests._created_check(values)
        (folder / manifests.FILE).write_text(canonical_json(values), encoding="utf-8")
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
        return folder
    moved = folder.with_name(f"{folder.name.partition('-')[0]}-{values['digest'][:12]}")
    if moved != folder:
        folder.rename(moved)
    if values["digest"] != before and followed < FOLLOWED_MAX:
        _follow(moved.parent, before, values["digest"], followed + 1)
    return moved


def _follow(root: Path, before: str, after: str, followed: int) -> None:
    """Gives everything in ``root`` that was made from the artifact ``before`` the inputs that it has now."""
    for folder in sorted(root.iterdir()):
        path = folder / manifests.FILE
        if not path.is_file():
            continue
        values = json.loads(path.read_text(encoding="utf-8"))
        inputs = values.get("inputs")
        if isinstance(inputs, dict) and before in inputs.values():
            values["inputs"] = {role: after if each == before else each for role, each in inputs.items()}
            write_manifest(folder, values, followed)


def in_artifact(kind: str, names: tuple[str, ...], change: Callable[[Random, str, bytes], bytes]) -> Any:
    """A function that writes a store where ``change`` changed a file of ``names`` in an artifact of ``kind``."""

    def mutated(random: Random, folder: Path) -> Path:
        root = copy_of_store(folder)
        found = [path / name for path in kinds(root, kind) for name in names if (path / name).is_file()]
        file = random.choice(found)
        file.write_bytes(change(random, file.name, file.read_bytes()))
        return seal(file.parent) if random.random() < 0.95 else file.parent

    return mutated
