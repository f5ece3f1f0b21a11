"""Tries the deploytool that is installed beside this interpreter, without any extra: from a NIR file to a package."""

from __future__ import annotations

import importlib.util
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from deploytool.convert.nir import write_nir
from deploytool.ir.events import EVENT
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Input, Output, Spike

DEPLOYTOOL = Path(sys.executable).with_name("deploytool")

COMMANDS = (
    ("--help",),
    ("--version",),
    ("check", "net.nir"),
    ("convert", "net.nir", "--reset", "subtract", "--floor", "-1"),
    ("map", "graph@latest", "--target", "speck2e"),
    ("run", "program@latest", "--on", "emulator", "--data", "events.npy"),
    ("validate", "recording@latest"),
    ("report", "verdict@latest"),
    ("package", "program@latest", "--output", "net.zip"),
    ("show",),
)
REFUSED = (
    (("check", "model:Net", "--shape", "2,16,16"), "pip install 'deploytool[train]'"),
    (("check", "model.onnx"), "pip install 'deploytool[onnx]'"),
    (("run", "program@latest", "--data", "digits"), "pip install 'deploytool[train]'"),
    (
        ("run", "program@latest", "--data", "events.npy", "--rasters", "2", "--scheduler", "local:1"),
        "pip install 'deploytool[cluster]'",
    ),
)
"""Commands that need an extra, and what they say."""


def write_inputs(folder: Path) -> None:
    """Writes a network, events and a file for each command that is refused."""
    weights = np.linspace(-0.5, 1, 4 * 2 * 9, dtype=np.float32).reshape(4, 2, 3, 3)
    nodes = [("in", Input((2, 16, 16))), ("conv", Conv(weights)), ("if", Spike(floor=-1.0)), ("out", Output())]
    write_nir(chain(nodes), folder / "net.nir")
    events = np.zeros(500, EVENT)
    events["t"] = 100 * np.arange(len(events))
    events["y"], events["x"] = np.arange(len(events)) % 16, np.arange(len(events)) // 16 % 16
    np.save(folder / "events.npy", events)
    (folder / "model.py").write_text("class Net: pass\n")
    (folder / "model.onnx").write_bytes(b"")


def deploytool(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command does in ``folder``."""
    return subprocess.run([DEPLOYTOOL, *arguments], cwd=folder, capture_output=True, text=True)


def main() -> None:
    """Raises SystemExit with what went wrong."""
    started = time.monotonic()
    if found := [name for name in ("torch", "sklearn", "tonic") if importlib.util.find_spec(name)]:
        raise SystemExit(f"not an empty environment: {found} is installed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder)
        for command in COMMANDS:
            done = deploytool(folder, *command)
            if done.returncode:
                raise SystemExit(f"deploytool {' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
        for command, sentence in REFUSED:
            done = deploytool(folder, *command)
            if done.returncode != 2 or sentence not in done.stderr or "Traceback" in done.stderr:
                raise SystemExit(f"deploytool {' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    took_s = time.monotonic() - started
    count = len(COMMANDS) + len(REFUSED)
    print(f"the wheel on CPython {platform.python_version()}: {count} commands in {took_s:.0f} s")


if __name__ == "__main__":
    main()
