"""Commands do not import large packages that they do not use: importing those takes longer than most commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LARGE = {"sklearn", "scipy.stats", "matplotlib", "torch", "tonic", "pandas", "onnx", "dask"}
RUN = ("run", "zoo:digits", "--data", "digits", "--on", "emulator")
RECIPE = str(Path(__file__).parents[2] / "recipes" / "digits.toml")

CODE = """
import sys
from deploytool.cli.app import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("IMPORTED", *sys.modules, file=sys.stderr)
"""


def imported(folder: Path, *arguments: str) -> set[str]:
    """The modules that the command imports; it must succeed."""
    command = [sys.executable, "-c", CODE, *arguments]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=300).stderr
    return set(told.rpartition("IMPORTED ")[2].split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recording of a shipped model on digits."""
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("imports")
    assert not imported(folder, *RUN) & LARGE
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ("show",),
        ("show", "recording@latest"),
        ("show", "models"),
        ("show", "samples@latest"),
        ("check", "zoo:digits"),
        ("check", RECIPE),
        ("map", "zoo:digits"),
        RUN,
        ("run", "program@latest", "--data", "digits", "--on", "emulator", "--rasters", "3"),
        ("validate", "recording@latest"),
        ("export", "recording@latest", "--samples", "table.csv"),
    ],
    ids=" ".join,
)
def test_a_command_imports_no_large_package(folder: Path, arguments: tuple[str, ...]) -> None:
    assert not imported(folder, *arguments) & LARGE


@pytest.mark.parametrize("arguments", [("show",), ("check", RECIPE), RUN], ids=" ".join)
def test_what_computes_nothing_loads_no_compiler(folder: Path, arguments: tuple[str, ...]) -> None:
    assert not imported(folder, *arguments) & {"numba", "llvmlite"}


def test_kept_loops_are_loaded_without_what_numba_compiles_with(folder: Path) -> None:
    again = ("run", "program@latest", "--data", "digits", "--on", "emulator", "--rasters")
    imported(folder, *again, "4")
    compiling = {"numba.misc.cffiimpl", "numba.typed.typeddict", "numba.np.arrayobj", "scipy.linalg"}
    assert not imported(folder, *again, "5") & compiling


def test_only_the_command_that_is_called_is_imported(tmp_path: Path) -> None:
    found = {name for name in imported(tmp_path, "show") if name.startswith("deploytool.cli.commands.")}
    assert found == {"deploytool.cli.commands.show"}
