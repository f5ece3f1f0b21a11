"""The package itself: what it lists, how fast it is there, and what it does without torch."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from helpers.command import RECIPE, network

import deploytool
import deploytool as dt
from deploytool.base.files import TEMPORARY
from deploytool.convert.nir import write_nir

NAMES = list(dt.NAMES)


def run(code: str, *arguments: object) -> str:
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_lists_its_functions() -> None:
    listed = run("import deploytool as dt; print(*(name for name in dir(dt) if name[0] != '_'))").split()
    assert listed == NAMES
    assert {"load", "check", "train", "compile", "events", "emulate", "simulate", "compare", "report"} <= {*listed}


def test_importing_everything_from_it_leaves_the_builtins_alone() -> None:
    assert set(NAMES) - set(dt.__all__) == {"compile", "open"}


def test_it_has_a_version() -> None:
    assert dt.__version__ == version("deploytool")
    assert "__version__" in dir(dt)


def test_importing_it_loads_next_to_nothing() -> None:
    """Time depends on the machine; what it does not load does not."""
    loaded = run("import sys; before = {*sys.modules}; import deploytool; print(*{*sys.modules} - before)").split()
    ours = {name for name in loaded if name.startswith("deploytool")}
    assert ours == {"deploytool"}
    assert not {"numpy", "pydantic", "torch", "numba", "typer"} & set(loaded)


def test_a_function_stays_when_the_room_of_its_name_is_imported() -> None:
    """deploytool.train, .report and .validate are folders too."""
    code = (
        "import deploytool.train.task, deploytool.report.page, deploytool.validate.ladder, deploytool as dt\n"
        "from deploytool.train.task import Task\n"
        "print(*(callable(each) for each in (dt.train, dt.report, dt.validate)), Task.__name__)"
    )
    assert run(code).split() == ["True", "True", "True", "Task"]
    with pytest.raises(AttributeError, match="cannot be changed"):
        dt.train = None  # type: ignore[assignment]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_documented_and_typed(name: str) -> None:
    found = getattr(deploytool, name)
    assert inspect.getdoc(found)
    if inspect.isfunction(found):
        parameters = inspect.signature(found).parameters.values()
        assert all(each.annotation is not inspect.Parameter.empty for each in parameters)
        assert inspect.signature(found).return_annotation is not inspect.Signature.empty
        assert "Raises" in (inspect.getdoc(found) or "") or "All else is as for" in (inspect.getdoc(found) or "")


NO_TORCH = """
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("torch", "sinabs", "tonic"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
import numpy as np
import deploytool as dt
"""
"""What a script sees where neither torch nor sinabs nor tonic is installed."""

WITHOUT_TORCH = """
net = dt.load(sys.argv[1])
program = dt.compile(net)
events = dt.events(np.ones((4, 2, 16, 16), int), dt_ms=1)
recording = dt.emulate(program, events, rasters=1)
assert dt.check(net) and dt.check(sys.argv[1])
for each in (net, dt.check(net), program, events, recording, dt.compare(recording, dt.simulate(net, events))):
    assert each._repr_html_()
print(repr(recording))
"""


def test_a_file_is_emulated_without_torch(tmp_path: Path) -> None:
    write_nir(network(), tmp_path / "net.nir")
    assert run(NO_TORCH + WITHOUT_TORCH, tmp_path / "net.nir").strip() == "Recording(emulator, 1 sample)"


def test_what_needs_torch_says_so(tmp_path: Path) -> None:
    code = "try: dt.train(sys.argv[1])\nexcept dt.DeployError as error: print(error)"
    (tmp_path / "recipe.toml").write_text(RECIPE)
    says = "dt.train: PyTorch is not installed; need pip install 'deploytool[train]'."
    assert run(NO_TORCH + code, tmp_path / "recipe.toml").strip() == says


def test_the_temporary_store_ends_with_the_process(tmp_path: Path) -> None:
    write_nir(network(), tmp_path / "net.nir")
    code = "import sys, deploytool as dt; print(dt.load(sys.argv[1]).store)"
    store = Path(run(code, tmp_path / "net.nir").strip())
    assert store.name.startswith(TEMPORARY)
    assert not store.exists()


def test_the_temporary_store_of_a_killed_script_goes_with_the_next_one(tmp_path: Path) -> None:
    write_nir(network(), tmp_path / "net.nir")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    code = "import os, sys, deploytool as dt; dt.load(sys.argv[1])"
    killed, left = code + "; os.kill(os.getpid(), 9)", []
    for each, ends in ((killed, -9), (killed, -9), (code, 0)):
        command = [sys.executable, "-c", each, str(tmp_path / "net.nir")]
        assert subprocess.run(command, env={**os.environ, "TMPDIR": str(temporary)}).returncode == ends
        left.append(len(list(temporary.glob(".*"))))
    assert left == [1, 1, 0]
