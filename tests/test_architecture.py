"""The house: which room imports which, what each may load, and files that a reader can take in."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

import deploytool
from deploytool.train.methods.table import METHODS

ROOT = Path(deploytool.__file__).parent
PROJECT = ROOT.parent

STAGES = ("data", "train", "convert", "map", "run", "validate", "report")
ROOMS = (
    ("base",),
    ("chip",),
    ("ir",),
    ("zoo",),
    ("recipe", "store"),
    STAGES,
    ("workflow",),
    ("api", "bench"),
    ("cli",),
    ("__main__",),
)
"""The rooms from the ground up; each imports only from below. Rooms of one floor do not import one another."""

FLOORS_OF_RUN = ("record", "reference", "kernels", "plan", "engine", "cuda", "targets", "selftest", "jobs")
"""The folders of run/, each of which imports only from those before it."""

BELOW_THE_VERBS = ("workflow/sources/", "workflow/stored/")
"""The folders of workflow/, each of which imports only from those before it; every verb may import from both."""

ONLY_IN = {
    "torch": ("data/loader.py", "train/", "convert/torch/", "bench/"),
    "sinabs": ("convert/torch/", "bench/"),
    "spikingjelly": ("bench/",),
    "expelliarmus": ("bench/",),
    "samna": ("run/targets/board.py",),
    "tonic": ("data/",),
    "aedat": ("data/",),
    "PIL": ("data/", "report/"),
    "numba": ("base/compiled.py", "base/native.py", "run/", "train/network/loops.py"),
    "llvmlite": ("base/compiled.py", "base/native.py", "run/", "train/network/loops.py", "train/network/fused/"),
    "dask": ("run/jobs/dask.py",),
    "distributed": ("run/jobs/dask.py", "run/jobs/workers.py"),
    "h5py": ("base/hdf5.py", "convert/", "data/formats/hdf5.py", "data/spikes/nirdata.py"),
    "hdf5plugin": ("data/formats/hdf5.py",),
    "onnx": ("convert/",),
    "scipy": ("data/speech/utterances.py",),
    "fast_bss_eval": ("validate/speech.py",),
    "pesq": ("validate/speech.py",),
    "typer": ("cli/",),
    "rich": ("cli/", "base/progress.py"),
    "jinja2": ("report/",),
    "markupsafe": ("report/",),
    "matplotlib": ("report/",),
    "nir": ("api/",),
    "pandas": ("api/",),
}
"""Packages that stay where they belong: {package: the places that may import it}."""

FORBIDDEN = {
    "click": "Typer vendors its own",
    "pickle": "loading one runs code",
    "sklearn": "importing it takes seconds",
}
DISTRIBUTIONS = {"PIL": "pillow", "google": "protobuf"}
"""Distributions whose name is not that of the package."""
INSIDE = {
    "numba.cuda": "numba-cuda",
    "torch.utils.tensorboard": "tensorboard",
    "distributed.security": "cryptography",
}
"""Distributions that add a module to the package of another, or that a module of another needs."""
READ = {"scikit-learn"}
"""Distributions of which a file is read, and nothing is imported, because that would take seconds."""
PEERS = {"sinabs", "spikingjelly", "samna", "nir", "pandas", "expelliarmus"}
"""What deploytool compares itself with, drives, or gives values to, where somebody has installed it: no dependency."""

FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))
FOLDERS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if (path / "__init__.py").exists())
TREES = {file: ast.parse((ROOT / file).read_text(encoding="utf-8")) for file in FILES}


def imports(file: str) -> set[str]:
    """Every module that ``file`` imports, inside functions too; for ``from a import b`` both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(TREES[file]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def own_imports(file: str) -> set[str]:
    """The files of deploytool that ``file`` imports."""
    paths = (name.removeprefix("deploytool.").replace(".", "/") for name in imports(file) if "deploytool." in name)
    found = {candidate for path in paths for candidate in (f"{path}.py", f"{path}/__init__.py")}
    return found & set(FILES) - {file}


def floor_of(file: str) -> int:
    room = file.split("/")[0].removesuffix(".py")
    return next(floor for floor, rooms in enumerate(ROOMS) if room in rooms)


def room_of(file: str) -> str:
    return file.split("/")[0].removesuffix(".py")


def cycle(edges: Mapping[str, set[str]]) -> set[str]:
    """What is left of a graph {name: what it imports} when all that imports nothing left is taken away."""
    left = {name: set(others) & edges.keys() - {name} for name, others in edges.items()}
    while leaves := [name for name, others in left.items() if not others & left.keys()]:
        for leaf in leaves:
            del left[leaf]
    return set(left)


@pytest.mark.parametrize("file", [file for file in FILES if file != "__init__.py"])
def test_imports_point_downwards(file: str) -> None:
    for other in own_imports(file):
        if room_of(other) != room_of(file):
            assert floor_of(other) < floor_of(file), f"{file} imports {other}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_in_a_folder_goes_in_a_circle(folder: str) -> None:
    """Among the files and subfolders of a folder, each subfolder taken as one."""
    edges: dict[str, set[str]] = {}
    for file in FILES:
        if file.startswith(f"{folder}/") and file != f"{folder}/__init__.py":
            child = file.removeprefix(f"{folder}/").split("/")[0]
            inside = {other for other in own_imports(file) if other.startswith(f"{folder}/")}
            edges.setdefault(child, set()).update(
                other.removeprefix(f"{folder}/").split("/")[0] for other in inside if other != f"{folder}/__init__.py"
            )
    assert not (left := cycle(edges)), f"a circle through {sorted(left)} of {folder}"


def test_a_circle_is_found() -> None:
    assert cycle({"a": {"b"}, "b": {"a"}, "c": {"a"}, "d": set()}) == {"a", "b", "c"}


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("run/")])
def test_the_floors_of_run(file: str) -> None:
    below = FLOORS_OF_RUN[: FLOORS_OF_RUN.index(file.split("/")[1]) + 1] if "/" in file[4:] else ()
    for other in own_imports(file):
        if other.startswith("run/"):
            assert other.split("/")[1] in below, f"{file} imports {other}"


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith(tuple(BELOW_THE_VERBS))])
def test_what_the_verbs_build_on_imports_no_verb(file: str) -> None:
    below = BELOW_THE_VERBS[: 1 + next(floor for floor, place in enumerate(BELOW_THE_VERBS) if file.startswith(place))]
    for other in own_imports(file):
        if other.startswith("workflow/"):
            assert other.startswith(tuple(below)), f"{file} imports {other}"


@pytest.mark.parametrize("file", FILES)
def test_packages_stay_where_they_belong(file: str) -> None:
    packages = {name.split(".")[0] for name in imports(file)}
    assert not packages & FORBIDDEN.keys()
    for package, places in ONLY_IN.items():
        assert package not in packages or any(file.startswith(place) for place in places), f"{file} imports {package}"


def declared() -> set[str]:
    """The distributions that pyproject.toml names, those for development and documentation left out."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = project["optional-dependencies"].items()
    extras = [line for extra, lines in groups if extra not in ("dev", "browser", "docs") for line in lines]
    names = (re.match(r"[\w.-]+", line) for line in [*project["dependencies"], *extras])
    return {name.group().lower() for name in names if name}


def imported() -> set[str]:
    """The distributions that the package imports, the standard library and peers left out."""
    names = {name for file in FILES for name in imports(file)}
    packages = {name.split(".")[0] for name in names}
    packages -= {*sys.stdlib_module_names, "deploytool", "__future__", *PEERS}
    added = {distribution for module, distribution in INSIDE.items() if module in names}
    return {DISTRIBUTIONS.get(package, package).lower() for package in packages} | added


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    assert imported() == declared() - READ


def test_the_table_of_chips_stays_with_the_chips() -> None:
    users = {file for file in FILES if any(name.endswith(".CHIPS") for name in imports(file))}
    assert not {file for file in users if not file.startswith("chip/")}


def compared_strings(tree: ast.AST) -> set[str]:
    """Every string that code compares something with, alone or in a tuple, list or set, or matches as a case."""
    compared = [
        side for node in ast.walk(tree) if isinstance(node, ast.Compare) for side in (node.left, *node.comparators)
    ]
    compared += [node.value for node in ast.walk(tree) if isinstance(node, ast.MatchValue)]
    found = [element for side in compared for element in getattr(side, "elts", [side])]
    return {node.value for node in found if isinstance(node, ast.Constant) and isinstance(node.value, str)}


NO_METHOD = {"data/formats/aedat4.py": {"events"}, "workflow/stored/contents.py": {"events"}}
"""{file: strings that are not the method of that name}: a kind of stream, and what a curve is over."""


@pytest.mark.parametrize("file", FILES)
def test_only_the_rooms_of_methods_and_recipes_ask_for_a_method_by_name(file: str) -> None:
    """All others ask its record: train/methods/table.py."""
    if not file.startswith(("train/methods/", "recipe/")):
        assert not compared_strings(TREES[file]) & METHODS.keys() - NO_METHOD.get(file, set())


def test_compared_strings_are_found() -> None:
    code = "a == 'b'; 'c' != d; e in ('f', g); h not in {'i'}\nmatch j:\n    case 'k': l('m')"
    assert compared_strings(ast.parse(code)) == {"b", "c", "f", "i", "k"}


@pytest.mark.parametrize("file", FILES)
def test_files_stay_readable(file: str) -> None:
    assert len((ROOT / file).read_text(encoding="utf-8").splitlines()) <= 420
    for node in ast.walk(TREES[file]):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 70, f"{file}: {node.name}"


@pytest.mark.parametrize("file", FILES)
def test_the_formatter_lays_out_the_code(file: str) -> None:
    assert "fmt: " + "skip" not in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES)
def test_public_names_are_documented(file: str) -> None:
    assert ast.get_docstring(TREES[file]), file
    for node in TREES[file].body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{file}: {node.name}"


def loaded_by(*arguments: str) -> set[str]:
    """The top-level modules a command has loaded when it ends."""
    code = (
        "import sys; from deploytool.cli.app import app\n"
        f"try: app({list(arguments)!r})\n"
        "except SystemExit: pass\n"
        "print('LOADED', *{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.rsplit("LOADED", 1)[1].split())


def test_help_loads_nothing_heavy() -> None:
    assert not loaded_by("--help") & {"torch", "numba", "numpy", "nir", "h5py", "matplotlib", "pydantic"}


def test_check_loads_neither_torch_nor_numba() -> None:
    assert not loaded_by("check", "--rules") & {"torch", "numba", "sinabs", "samna", "tonic"}
