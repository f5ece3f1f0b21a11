"""Runs a script of a package as somebody does who has neither this project nor samna: in a process without both."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np

TESTS: Final = Path(__file__).parents[1]
STAND_IN: Final = f"""
import sys, time
sys.path.append({str(TESTS)!r})
from helpers.samna_api import Samna
stand_in = Samna(device_type={{device!r}})
time.sleep, time.monotonic = stand_in.clock.sleep, stand_in.clock.monotonic
globals().update(vars(stand_in.module))
sys.path.remove({str(TESTS)!r})
"""
"""The package samna that is put beside a script: the stand-in, whose time passes where somebody sleeps."""

START: Final = """
import importlib.util, runpy, sys
sys.path[:0] = {folders!r}
assert importlib.util.find_spec("deploytool") is None
sys.argv = {argv!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def put_samna(folder: Path, device: str = "Speck2eDevKit") -> None:
    """Puts a package samna into ``folder``, with a file that looks compiled."""
    (folder / "samna").mkdir()
    (folder / "samna" / "__init__.py").write_text(STAND_IN.format(device=device))
    (folder / "samna" / "driver.so").touch()


def run_script(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What ``python script arguments`` does in ``folder``: isolated, with numpy and what lies in ``folder`` alone."""
    site = str(Path(np.__file__).parents[1])
    code = START.format(folders=[str(folder), site], argv=[str(folder / script), *arguments])
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
