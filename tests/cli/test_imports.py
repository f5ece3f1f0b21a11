"""Commands do not import large packages that they do not use: importing those takes longer than most commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.command import RECIPE as SMALL

from deploytool.cli.app import COMMANDS

LARGE = {"sklearn", "scipy.stats", "matplotlib", "torch", "tonic", "pandas", "onnx", "dask"}
RUN = ("run", "zoo:digits", "--data", "digits", "--on", "emulator")
RECIPE = str(Path(__file__).parents[2] / "recipes" / "digits.toml")

EVERY: dict[str, tuple[str, ...]] = {
    "pipeline": ("pipeline", "recipe.toml"),
    "train": ("train", "recipe.toml"),
    "convert": ("convert", "model@latest"),
    "init": ("init", "-o", "new.toml"),
    "check": ("check", "recipe.toml"),
    "map": ("map", "graph@latest", "--quantise", "calibrated", "--data", "digits", "--calibration-samples", "2"),
    "run": ("run", "program@latest", "--data", "digits", "--samples", "5"),
    "import-recording": (
        *("import-recording", "spikes.csv", "--program", "program@latest", "--rung", "board"),
        *("--samples-of", "{emulator}"),
    ),
    "sweep": ("sweep", "zoo:digits", "--until-ms", "5,20", "--data", "digits", "--samples", "3", "--on", "emulator"),
    "validate": ("validate", "recording@latest"),
    "compare": ("compare", "{simulator}", "{emulator}"),
    "report": ("report", "verdict@latest"),
    "show": ("show", "recording@latest"),
    "verify": ("verify",),
    "export": ("export", "{emulator}", "--spikes", "spikes.csv"),
    "calibrate-chip": ("calibrate-chip", "recording@latest", "--samples", "1"),
    "package": ("package", "program@latest", "-o", "net.zip", "--samples", "1"),
    "bench": ("bench", "zoo:digits", "--repeats", "2", "--rate", "1000", "--duration-ms", "10"),
    "device": ("device", "info", "emulator"),
}
"""{command: a call of it}, after the pipeline of ``recipe.toml`` and a run on each of {emulator} and {simulator}."""
BEFORE = {"import-recording": ("export",)}
"""The commands that have to be called before."""
USES = {"report": {"matplotlib"}}
"""What draws figures, and so uses a large package."""

CODE = """
import sys
from deploytool.cli.app import main
try:
    main()
except SystemExit as end:
    assert end.code in (None, 0, 9), end.code
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


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """(a folder with a small recipe and its pipeline, {target: the recording of two samples with all spikes})."""
    pytest.importorskip("sklearn")
    pytest.importorskip("torch")
    folder, made = tmp_path_factory.mktemp("chain"), {}
    (folder / "recipe.toml").write_text(SMALL)
    assert imported(folder, *EVERY["pipeline"]) & LARGE == {"torch", "matplotlib"}
    for target in ("emulator", "simulator"):
        before = set(folder.glob("artifacts/recording-*"))
        imported(
            folder, "run", "program@latest", "--data", "digits", "--samples", "2", "--rasters", "2", "--on", target
        )
        (path,) = set(folder.glob("artifacts/recording-*")) - before
        made[target] = path.name
    return folder, made


def test_every_command_is_called() -> None:
    assert set(EVERY) == set(COMMANDS)


@pytest.mark.parametrize("command", EVERY)
def test_no_command_imports_a_large_package_that_it_does_not_use(
    chain: tuple[Path, dict[str, str]], command: str
) -> None:
    folder, made = chain
    for name in (*BEFORE.get(command, ()), command):
        found = imported(folder, *(each.format(**made) for each in EVERY[name]))
    assert found & LARGE == USES.get(command, set())


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
