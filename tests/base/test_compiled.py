"""What is kept of compiled functions is found again, and never what another state of the source compiled to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deploytool.base import compiled
from deploytool.base.compiled import PACKAGE, compilations, is_private, kept, sources

TEXTS = {
    "kinds.py": "from typing import NamedTuple\nimport numpy as np\nclass Pair(NamedTuple):\n    a: int\n    b: int\n",
    "loops.py": (
        "from deploytool.base.compiled import compiled\n"
        "from deploytool.kinds import Pair\n\n"
        "@compiled\n"
        "def total(pair):\n"
        "    return pair.a + pair.b\n"
    ),
    "ask.py": (
        "from deploytool.base.compiled import compilations\n"
        "from deploytool.kinds import Pair\n"
        "from deploytool.loops import total\n"
        "print(total(Pair(1, 2)), compilations())\n"
    ),
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of the name of this one, with the module that is tested and two more."""
    folder = tmp_path / "deploytool"
    (folder / "base").mkdir(parents=True)
    for file in (PACKAGE / "base").glob("*.py"):
        shutil.copy(file, folder / "base")
    (folder / "__init__.py").touch()
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    return folder


def answer(package: Path, **environment: str) -> list[str]:
    command = [sys.executable, "-c", "import deploytool.ask"]
    set_up = {**os.environ, "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run(command, cwd=package, env=set_up, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_second_process_compiles_nothing(package: Path) -> None:
    assert answer(package) == ["3", "1"]
    assert answer(package) == ["3", "0"]


BYTES = """
from deploytool.base.compiled import compilations, kept
print(kept(__import__("deploytool.loops").loops.__file__, "code", lambda: bytes(99)) == bytes(99), compilations())
import deploytool.ask
"""


@pytest.mark.parametrize("damage", [lambda _: b"", lambda code: code[:-9], lambda code: code[:50] + b"x" + code[51:]])
def test_what_is_damaged_is_compiled_again(package: Path, damage: Callable[[bytes], bytes]) -> None:
    """Code that was cut short, as by a power failure, or changed, ended the process without a sentence."""
    set_up = {**os.environ, "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}

    def run() -> str:
        command = [sys.executable, "-c", BYTES]
        return subprocess.run(command, cwd=package, env=set_up, capture_output=True, text=True, check=True).stdout

    assert run() == "True 1\n3 2\n"
    files = [path for path in (package / "__pycache__").rglob("*") if path.is_file()]
    assert len(files) == 2
    for path in files:
        path.write_bytes(damage(path.read_bytes()))
    assert run() == "True 1\n3 2\n"
    assert run() == "True 0\n3 0\n"


LIMITED = """
import resource
from deploytool.base.compiled import kept

resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
print(kept(__import__("deploytool.loops").loops.__file__, "code", lambda: bytes(99)) == bytes(99))
import deploytool.ask
"""


def test_what_finds_no_room_is_compiled_and_not_kept(package: Path) -> None:
    set_up = {**os.environ, "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", LIMITED]
    done = subprocess.run(command, cwd=package, env=set_up, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n3 2\n"), done.stderr
    assert answer(package) == ["3", "1"]


def test_a_type_that_is_gone_is_not_looked_for(package: Path) -> None:
    answer(package)
    for name, text in TEXTS.items():
        (package / name).write_text(text.replace("Pair", "Couple"))
    assert answer(package) == ["3", "1"]


def test_a_change_of_an_imported_module_is_noticed_and_old_code_is_removed(package: Path) -> None:
    answer(package)
    (package / "__pycache__" / "loops.total-4.py311.nbi").touch()  # as numba itself keeps it
    (package / "__pycache__" / f"gone-{16 * 'a'}").mkdir()
    (package / "__pycache__" / "another-folder").mkdir()
    before = sorted((package / "__pycache__").glob("loops*"))
    (package / "kinds.py").write_text(TEXTS["kinds.py"] + "\nMORE = 1\n")
    assert answer(package) == ["3", "1"]
    after = sorted((package / "__pycache__").glob("loops*"))
    assert len(before) == 2
    assert len(after) == 1
    assert not set(before) & set(after)
    assert not (package / "__pycache__" / f"gone-{16 * 'a'}").exists()
    assert (package / "__pycache__" / "another-folder").exists()


def test_the_folder_of_numba_is_used_if_one_is_set(package: Path, tmp_path: Path) -> None:
    assert answer(package, NUMBA_CACHE_DIR=str(tmp_path / "kept")) == ["3", "1"]
    assert answer(package, NUMBA_CACHE_DIR=str(tmp_path / "kept")) == ["3", "0"]
    assert not (package / "__pycache__").exists()


def test_code_of_no_file_is_compiled_in_memory() -> None:
    scope: dict[str, object] = {}
    exec("def double(x):\n    return 2 * x\n", scope)
    before = compilations()
    assert compiled.compiled(scope["double"])(21) == 42
    assert compilations() == before + 1
    assert kept("<none>", "name", lambda: b"code") == b"code"


def test_the_sources_of_a_module_are_all_that_it_imports_of_the_package() -> None:
    names = {path.relative_to(PACKAGE).as_posix() for path in sources(PACKAGE / "run" / "kernels" / "leaky.py")}
    assert {"run/kernels/leaky.py", "run/kernels/general.py", "base/compiled.py", "ir/neurons.py"} <= names
    assert np.all([(PACKAGE / name).is_file() for name in names])


def test_code_is_kept_only_where_nobody_else_can_put_any(package: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    kept_in = shared / "kept"
    kept_in.mkdir()
    assert is_private(kept_in)
    shared.chmod(0o1777)
    assert is_private(kept_in), "as below /tmp: only the owner renames a folder there"
    for open_to_all in (shared, kept_in):
        open_to_all.chmod(0o777)
        assert not is_private(kept_in)
        assert answer(package, NUMBA_CACHE_DIR=str(kept_in)) == ["3", "1"]
        assert answer(package, NUMBA_CACHE_DIR=str(kept_in)) == ["3", "1"], "what others may have put there is not run"
        open_to_all.chmod(0o700)
    assert is_private(kept_in)
    if os.geteuid() == 0:
        os.chown(shared, 12345, -1)
        assert not is_private(kept_in)
