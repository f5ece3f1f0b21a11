"""What runs code that is not deploytool's, and that a line says so before; all else is data."""

from __future__ import annotations

import ast
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from helpers.command import RECIPE, invoke, network

import deploytool as dt
from deploytool.base.errors import InputError
from deploytool.convert.nir import write_nir

PACKAGE: Final = Path(dt.__file__).parent
PICKLES: Final = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
READS_CODE: Final = {"eval", "exec", "compile", "__import__"}
FORBIDDEN: Final = {"tempfile.mktemp", "os.system", "os.popen", "shutil.unpack_archive", "runpy.run_path"}
NEEDED: Final = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "read_array": ("allow_pickle", False),
    "extractall": ("filter", "data"),
    "Environment": ("autoescape", True),
}
"""{a call: the argument that makes it safe}."""
IMPORTERS: Final = {"__init__.py", "cli/app.py", "convert/torch/builder.py"}
"""The files that import modules by a name that is not written there: of the package itself, or announced."""


def faults(source: str, file: str = "file.py") -> Iterator[str]:
    """What in the ``source`` of a ``file`` could run code that comes from data."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names if name.name.partition(".")[0] in PICKLES)
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in PICKLES:
                yield module
            case ast.Call(func=ast.Name(id=name)) if name in READS_CODE:
                yield name
            case ast.Call():
                yield from _of_call(node, file)


def _of_call(call: ast.Call, file: str) -> Iterator[str]:
    name = ast.unparse(call.func)
    last = name.rpartition(".")[2]
    given = {each.arg: each.value.value for each in call.keywords if isinstance(each.value, ast.Constant)}
    if name in FORBIDDEN or given.get("shell"):
        yield name
    if last == "import_module" and not isinstance(call.args[0], ast.Constant) and file not in IMPORTERS:
        yield name
    if last == "load_builder" and file not in ("workflow/sources/networks.py", "workflow/outside.py"):
        yield name
    for each in (name, last):
        if each in NEEDED and given.get(NEEDED[each][0]) != NEEDED[each][1]:
            yield name
            return


def test_nothing_in_the_package_runs_code_that_comes_from_data() -> None:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        file = path.relative_to(PACKAGE).as_posix()
        if in_it := list(faults(path.read_text(encoding="utf-8"), file)):
            found[file] = in_it
    assert found.pop("base/compiled.py") == ["environment.Environment"], "numba's, of compiled functions"
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from cloudpickle import loads",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.lib.format.read_array(file, allow_pickle=True)",
        "yaml.load(text)\nimport yaml",
        "eval(text)",
        "exec(text)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
        "tempfile.mktemp()",
        "archive.extractall(folder)",
        "importlib.import_module(name)",
        "load_builder(name)",
        "Environment(loader=loader)",
    ],
)
def test_each_of_these_would_be_found(source: str) -> None:
    assert list(faults(source))


def test_the_network_of_a_recipe_is_read_only_when_it_is_trained() -> None:
    callers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(
            isinstance(node, ast.Call) and ast.unparse(node.func).endswith("given_ann")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    }
    assert callers == {"workflow/train.py"}


USERS: Final = "import sys\nprint('IMPORTED', file=sys.stderr)\nraise SystemExit(3)\n"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module in the current folder that says when it is imported, in a package of its own."""
    pytest.importorskip("torch")
    folder = tmp_path / "users_package"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "nets.py").write_text(USERS)
    monkeypatch.chdir(tmp_path)
    yield folder / "nets.py"
    for name in [name for name in sys.modules if name.startswith("users_package")]:
        del sys.modules[name]


NAME: Final = "users_package.nets:build"


def announced(stderr: str, module: Path) -> None:
    assert f"running your code: {NAME}, in {module}\n" in stderr
    assert stderr.index("running your code") < stderr.index("IMPORTED")


@pytest.mark.parametrize("command", ["check", "convert", "map"])
@pytest.mark.parametrize("option", [(), ("--quiet",), ("--json",)])
def test_a_command_announces_a_module(module: Path, tmp_path: Path, command: str, option: tuple[str, ...]) -> None:
    shape = ("--shape", "2,16,16")
    result = invoke(tmp_path, command, NAME, *(() if command == "map" else shape), *option)
    if "no input shape" in result.stderr:
        assert "IMPORTED" not in result.stderr
        return
    assert result.exit_code == 5, result.output
    announced(result.stderr, module)


def ptl_recipe(folder: Path) -> Path:
    sections = f'[constraints]\nfloor = -inf\n[train.ptl]\nann = "{NAME}"\n[run]'
    text = RECIPE.replace("[train]", '[train]\nmethod = "ptl"').replace("[run]", sections)
    (folder / "recipe.toml").write_text(text)
    return folder / "recipe.toml"


@pytest.mark.parametrize("command", ["train", "pipeline"])
def test_training_announces_the_network_that_a_recipe_names(module: Path, tmp_path: Path, command: str) -> None:
    pytest.importorskip("sklearn")
    result = invoke(tmp_path, command, ptl_recipe(tmp_path), "--quiet")
    assert result.exit_code == 5, result.output
    announced(result.stderr, module)


@pytest.mark.usefixtures("module")
def test_checking_a_recipe_runs_nothing_that_it_names(tmp_path: Path) -> None:
    result = invoke(tmp_path, "check", ptl_recipe(tmp_path))
    assert "IMPORTED" not in result.output
    assert "running your code" not in result.output


def test_a_script_announces_it_whatever_its_logs_show(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logging.disable(logging.CRITICAL)
    try:
        with pytest.raises(InputError, match="raised SystemExit"):
            dt.load(NAME, shape=(2, 16, 16))
    finally:
        logging.disable(logging.NOTSET)
    announced(capsys.readouterr().err, module)


def test_a_file_of_python_is_not_imported_by_its_name(module: Path, tmp_path: Path) -> None:
    for name in (f"{module}:build", str(module)):
        result = invoke(tmp_path, "convert", name, "--shape", "2,16,16")
        assert result.exit_code in (4, 5), result.output
        assert "IMPORTED" not in result.output


def test_modules_in_the_current_folder_are_not_imported(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("deploytool")
    if not command.is_file():
        pytest.skip("deploytool is not installed beside this Python")
    write_nir(network(), tmp_path / "net.nir")
    for name in (
        "h5py",
        "numpy",
        "torch",
        "numba",
        "yaml",
        "json",
        "sitecustomize",
        "deploytool_plugin",
        "typer",
        "rich",
    ):
        (tmp_path / f"{name}.py").write_text(USERS)
    done = subprocess.run([command, "check", "net.nir"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "IMPORTED" not in done.stderr


@pytest.mark.parametrize("name", ["typer", "json"])
def test_python_m_imports_modules_in_the_current_folder(tmp_path: Path, name: str) -> None:
    """SECURITY.md says so, because Python does it before deploytool runs."""
    (tmp_path / f"{name}.py").write_text(USERS)
    setting = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
    setting["PYTHONPATH"] = str(PACKAGE.parent)
    command = [sys.executable, "-m", "deploytool", "show", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=setting, capture_output=True, text=True)
    assert done.returncode == 3
    assert "IMPORTED" in done.stderr


def test_only_training_in_several_processes_uses_torch_s_network() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "torch.distributed" in path.read_text(encoding="utf-8")
    }
    assert found == {"train/processes.py"}


SPEAKS: Final = {"socket", "http", "urllib", "ssl", "ftplib", "smtplib", "requests", "httpx", "aiohttp", "distributed"}


def test_only_downloads_and_schedulers_use_the_network() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.partition(".")[0] in SPEAKS and name != "urllib.parse" for name in names):
                found.add(path.relative_to(PACKAGE).as_posix())
    assert found == {"data/sets/downloads.py", "run/jobs/dask.py", "run/jobs/workers.py"}
