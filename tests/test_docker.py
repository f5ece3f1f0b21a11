"""The Dockerfile names files and extras that exist, runs as an ordinary user, and starts deploytool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def instructions() -> list[tuple[str, str]]:
    """(instruction, its arguments), continued lines joined, without comments."""
    lines = [line for line in TEXT.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    found = []
    for line in joined.splitlines():
        name, _, arguments = line.partition(" ")
        found.append((name, arguments))
    return found


def of(name: str) -> list[str]:
    return [arguments for instruction, arguments in instructions() if instruction == name]


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps ``path`` from the build: the last pattern that matches decides."""
    patterns = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    kept = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return patterns[0] == "*" and path not in kept


def test_instructions_are_known_and_begin_with_a_supported_python() -> None:
    known = {"FROM", "ARG", "COPY", "RUN", "USER", "WORKDIR", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in instructions()} <= known
    (image,) = of("FROM")
    version = re.fullmatch(r"python:(3\.\d+)-slim", image)
    assert version is not None
    assert f"Programming Language :: Python :: {version[1]}" in PROJECT["classifiers"]


def test_every_path_that_is_copied_exists_and_is_sent_to_the_build() -> None:
    sources = [source for arguments in of("COPY") for source in arguments.split()[:-1]]
    assert {"pyproject.toml", "constraints.txt", "deploytool"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored(source), source
    assert ignored("artifacts")


def test_what_the_build_needs_is_copied() -> None:
    copied = {source for arguments in of("COPY") for source in arguments.split()[:-1]}
    assert {PROJECT["readme"], *PROJECT["license-files"]} <= copied


def test_pip_installs_the_copied_project_with_extras_that_exist() -> None:
    (run,) = of("RUN")
    assert "-c /src/constraints.txt" in run
    assert '"/src${EXTRAS:+[$EXTRAS]}"' in run
    assert of("ARG") == ['EXTRAS=""']
    (named,) = re.findall(r"EXTRAS=([a-z,]+)", TEXT)
    assert set(named.split(",")) <= PROJECT["optional-dependencies"].keys()


def test_it_runs_as_an_ordinary_user_and_starts_deploytool() -> None:
    order = [name for name, _ in instructions()]
    assert of("USER") == ["deploytool"]
    assert "useradd --create-home deploytool" in of("RUN")[0]
    assert order.index("RUN") < order.index("USER") < order.index("ENTRYPOINT")
    (entry,) = of("ENTRYPOINT")
    assert json.loads(entry) == ["deploytool"]
    assert "deploytool" in PROJECT["scripts"]


def test_it_builds_and_runs() -> None:
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode:
        pytest.skip("no Docker that runs, to build the image")
    subprocess.run(["docker", "build", "--tag", "deploytool-test", "."], cwd=ROOT, check=True)
    done = subprocess.run(["docker", "run", "--rm", "deploytool-test", "--version"], capture_output=True, text=True)
    assert done.stdout == f"deploytool {PROJECT['version']}\n"
