"""What is not run says so, where continuous integration runs: in its last lines, and not as something that passed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def vendor_check(home: Path, ci: str) -> subprocess.CompletedProcess[str]:
    """.ci/vendor-check where no CPython is found: among commands there are only bash's own and dirname."""
    commands = home / "bin"
    commands.mkdir()
    for name in ("bash", "dirname", "env"):
        (commands / name).symlink_to(str(shutil.which(name)))
    environment = {"HOME": str(home), "PATH": str(commands), "CI": ci}
    return subprocess.run([ROOT / ".ci" / "vendor-check"], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(("ci", "pyenv", "status"), [("", True, 0), ("true", False, 0), ("true", True, 1)])
def test_a_missing_interpreter_is_told_and_an_error_where_it_should_be(
    tmp_path: Path, ci: str, pyenv: bool, status: int
) -> None:
    if pyenv:
        (tmp_path / ".pyenv").mkdir()
    done = vendor_check(tmp_path, ci)
    assert done.stdout == "not run: tests/vendor: no CPython 3.10\n"
    assert done.returncode == status


@pytest.mark.parametrize(
    ("of_tests", "status", "last"),
    [
        ("not run: 2 tests: no GPU\n12 passed, 2 skipped", 0, "not run: 2 tests: no GPU"),
        ("not run: 2 tests: no GPU\n1 failed, 2 skipped", 1, "not run: 2 tests: no GPU"),
        ("14 passed", 0, "not run: nothing"),
    ],
)
def test_the_last_line_says_what_was_not_run(tmp_path: Path, of_tests: str, status: int, last: str) -> None:
    """With a stand-in for make, which says what it is asked for, and ends with ``status`` where that is the tests."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    make = tmp_path / "make"
    make.write_text(f'#!/usr/bin/env bash\necho "make $1"\n[ $1 != test ] && exit\necho "{of_tests}"\nexit {status}\n')
    make.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([tmp_path / ".ci" / "run"], env=environment, capture_output=True, text=True)
    after = [] if status else ["make docs", "make wheel-check", "make vendor-check", "make audit"]
    assert done.returncode == status
    assert done.stdout.splitlines() == ["make check", "make test", *of_tests.splitlines(), *after, last]


PYTHON = """#!/usr/bin/env bash
# Stands in for Python: makes an environment whose pip installs as $INSTALLS says, and whose pip-audit knows $KNOWN.
if [ "$1 $2" = "-m venv" ]; then
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    cp "$0" "$3/bin/pip-audit"
elif [ "$1 $2" = "-m pip" ]; then
    exit "$INSTALLS"
else
    while [ "$1" != --requirement ]; do shift; done
    requirements=$2
    while [ "$1" != --output ]; do shift; done
    grep -E "$KNOWN" "$requirements" > "$2" || exit 0
    exit 1
fi
"""


@pytest.mark.parametrize(
    ("installs", "known", "status", "last"),
    [
        (1, "none", 0, "not run: pip-audit: it cannot be installed"),
        (0, "none", 0, "not run: pip-audit: no database that knows the vulnerabilities of jinja2==2.4.1"),
        (0, "jinja2==2", 0, "no known vulnerability in the versions of constraints.txt"),
        (0, "jinja2==2|numpy==1", 1, "numpy==1"),
    ],
)
def test_an_audit_names_vulnerabilities_or_says_that_it_was_not_run(
    tmp_path: Path, installs: int, known: str, status: int, last: str
) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "audit", tmp_path / ".ci" / "audit")
    (tmp_path / "constraints.txt").write_text("numpy==1\ntorch==2\n")
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    environment = os.environ | {"PYTHON": str(tmp_path / "python"), "INSTALLS": str(installs), "KNOWN": known}
    done = subprocess.run([tmp_path / ".ci" / "audit"], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (status, last), done.stderr


SKIPPING = """
import pytest

def test_one():
    pytest.skip("no GPU")

@pytest.mark.skip(reason="no GPU")
def test_two():
    pass

def test_three():
    pass
"""


def test_skipped_tests_are_counted_by_their_reason(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "conftest.py")
    (tmp_path / "test_some.py").write_text(SKIPPING)
    (tmp_path / "test_other.py").write_text("import pytest\npytest.importorskip('absent', reason='no peer')\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    told = [line for line in done.stdout.splitlines() if line.startswith("not run")]
    assert told == ["not run: test_other.py: no peer", "not run: 2 tests: no GPU"]
    assert done.stdout.splitlines()[-1].startswith("1 passed, 3 skipped")
