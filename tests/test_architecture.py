"""The layers of the package hold: who imports what, and what a light command loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import deploytool

ROOT = Path(deploytool.__file__).parent
STAGES = ("data", "train", "convert", "map", "run", "validate", "report")
LAYERS = (
    {"errors", "digest", "events", "fixedpoint"},
    {
        "graph",
        "chip",
        "tensors",
        "program",
        "recording",
        "recipe",
        "verdict",
        "artifact",
        "progress",
        "memory",
        "payload",
        "layers",
        "fan_in",
    },
    set(STAGES),
    {
        "workspace",
        "lineage",
        "summary",
        "sources",
        "beforehand",
        "catalogue",
        "tandem",
        "pipeline",
        "reporting",
        "selftest",
        "bench",
    },
    {"show", "session", "cli", "__main__"},
)
ONLY_IN = {
    "torch": ("data/loader.py", "train/", "convert/sinabs.py", "convert/layers.py", "bench/"),
    "sinabs": ("train/", "convert/sinabs.py", "bench/"),
    "samna": ("run/board.py",),
    "tonic": ("data/",),
    "aedat": ("data/",),
    "PIL": ("data/",),
    "numba": ("run/", "train/loops.py"),
    "dask": ("run/cluster.py",),
    "distributed": ("run/cluster.py",),
    "nir": ("convert/",),
    "h5py": ("convert/",),
    "onnx": ("convert/onnx.py",),
    "typer": ("cli.py",),
    "jinja2": ("report/",),
    "matplotlib": ("report/",),
    "sklearn": ("data/",),
}
FORBIDDEN = {"click", "pickle"}
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def imports(file: str) -> set[str]:
    """Every module that ``file`` imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def own(file: str) -> set[str]:
    """The parts of deploytool that ``file`` imports: stages and modules by their first name."""
    parts = {name.split(".")[1] for name in imports(file) if name.startswith("deploytool.")}
    return {part for part in parts if (ROOT / part).is_dir() or (ROOT / f"{part}.py").is_file()}


def layer_of(part: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if part in layer)


def part_of(file: str) -> str:
    return file.split("/")[0].removesuffix(".py")


@pytest.mark.parametrize("file", [file for file in FILES if file != "__init__.py"])
def test_imports_point_downwards(file: str) -> None:
    part = part_of(file)
    for other in own(file) - {part}:
        below = layer_of(other) < layer_of(part)
        beside = layer_of(other) == layer_of(part) and part not in STAGES
        assert below or beside, f"{file} imports {other}"


@pytest.mark.parametrize("file", FILES)
def test_heavy_packages_stay_where_they_belong(file: str) -> None:
    packages = {name.split(".")[0] for name in imports(file)}
    assert not packages & FORBIDDEN
    for package, places in ONLY_IN.items():
        assert package not in packages or any(file.startswith(place) for place in places), f"{file} imports {package}"


def test_modules_of_one_layer_form_no_cycle() -> None:
    for layer in LAYERS:
        edges = {part: own(f"{part}.py") & layer for part in layer if (ROOT / f"{part}.py").is_file()}
        while leaves := [part for part, others in edges.items() if not others & edges.keys()]:
            for leaf in leaves:
                del edges[leaf]
        assert not edges, f"a cycle through {sorted(edges)}"


@pytest.mark.parametrize("file", FILES)
def test_files_stay_readable(file: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert len((ROOT / file).read_text(encoding="utf-8").splitlines()) <= 420
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 70, f"{file}: {node.name}"


@pytest.mark.parametrize("file", FILES)
def test_public_names_are_documented(file: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), file
    for node in tree.body:
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
