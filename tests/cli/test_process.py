"""The process of a command on a terminal: a first sign of life, lines that stay, and an end at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.command import RECIPE
from helpers.terminal import Session, on_terminal

EPOCHS = 200


@pytest.fixture
def training(tmp_path: Path) -> list[str]:
    """A training that takes long."""
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("epochs = 2", f"epochs = {EPOCHS}"))
    return ["train", str(tmp_path / "recipe.toml"), "--store", str(tmp_path / "store")]


def epochs_of(session: Session) -> list[str]:
    return [line for line in session.screen if line.startswith("epoch ")]


def test_epochs_stay_on_the_screen_and_the_next_run_says_where_it_continues(training: list[str]) -> None:
    cut = on_terminal(training, columns=60, interrupt=lambda text: text.count(" val ") >= 3)
    assert cut.status == 130
    assert cut.first_s() < 3
    assert any(f"epoch   1/{EPOCHS}  loss " in line and line.endswith("  best") for line in epochs_of(cut))
    assert [line for line in epochs_of(cut) if " % " not in line or len(line) > 60] == []
    assert [line for line in cut.screen if line and not line.startswith("epoch ")] == [
        "Interrupted. Run the same command again to continue;",
        "  finished work is kept.",
    ]
    finished = len(epochs_of(cut))
    again = on_terminal(training, columns=60, interrupt=lambda text: text.count(" val ") >= 1)
    (said,) = (line for line in again.screen if "continues" in line)
    kept = (finished, finished + 1)  # an epoch is kept just before its line is shown
    assert said in [f"train      continues with epoch {done + 1}, step {done * 4 + 1}" for done in kept]


def test_two_interrupts_end_it_without_a_traceback(training: list[str]) -> None:
    cut = on_terminal(training, interrupt=lambda text: 2 * (" val " in text))
    assert cut.status == 130
    assert "Traceback" not in cut.text
    assert "KeyboardInterrupt" not in cut.text


SIGNALS = pytest.mark.parametrize(
    ("name", "status", "said"),
    [("SIGINT", 130, "Interrupted"), ("SIGTERM", 143, "Terminated"), ("SIGHUP", 129, "The terminal was closed")],
)
REST = ". Run the same command again to continue; finished work is kept.\n"

START = """
import os, signal, sys
from deploytool.cli.process import interruptible, interrupts_end_the_process

def send():
    os.kill(os.getpid(), signal.{name})

interrupts_end_the_process()
"""
RAISED = """
try:
    with interruptible():
        send()
except KeyboardInterrupt:
    print("raised", flush=True)
send()
print("not reached")
"""
TWICE = """
with interruptible():
    try:
        send()
    finally:
        send()
"""
NOT_PASSED_ON = """
class Finalized:
    def __del__(self):
        send()

with interruptible():
    Finalized()
    print("not reached")
"""


def with_signals(name: str, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", START.format(name=name) + code], capture_output=True, text=True)


@SIGNALS
def test_a_signal_is_raised_in_a_command_and_ends_the_process_before_and_after(
    name: str, status: int, said: str
) -> None:
    done = with_signals(name, RAISED)
    assert (done.returncode, done.stdout, done.stderr) == (status, "raised\n", said + REST)


@SIGNALS
@pytest.mark.parametrize("code", [TWICE, NOT_PASSED_ON])
def test_a_second_signal_and_one_in_a_finalizer_end_the_process_at_once(
    name: str, status: int, said: str, code: str
) -> None:
    done = with_signals(name, code)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", said + REST)


def test_a_command_that_answers_in_json_does_so_when_it_is_ended_at_once() -> None:
    done = with_signals("SIGTERM", "sys.argv.append('--json')\nsend()")
    assert (done.returncode, done.stderr) == (143, "Terminated" + REST)
    assert json.loads(done.stdout) == {"error": {"exit_code": 143, "problems": [("Terminated" + REST).strip()]}}


SHOWN = """
from pathlib import Path
from deploytool.cli.command import _exit_code
from deploytool.cli.invocation import Invocation
from deploytool.cli.process import end

invocation = Invocation(Path("store"), as_json={as_json}, quiet=True)

def call():
    invocation.show({{"a": 1}})
    send()
    return 9

def run():
    code = _exit_code(invocation, "show", call)
    send()
    sys.exit(code)

end(run)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(("as_json", "shown"), [(True, '{\n  "a": 1\n}\n'), (False, "a  1\n")])
def test_a_signal_after_the_result_changes_neither_it_nor_the_exit_code(name: str, as_json: bool, shown: str) -> None:
    done = with_signals(name, SHOWN.format(as_json=as_json))
    assert (done.returncode, done.stdout, done.stderr) == (9, shown, "")


SHOWING = """
from deploytool.cli.process import showing_result

with interruptible(), showing_result():
    print("one")
    send()
    print("two")
send()
sys.exit(9)
"""
STUCK = """
from deploytool.cli.process import showing_result

with interruptible(), showing_result():
    print("started", file=sys.stderr, flush=True)
    print("x" * (1 << 22))
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_the_result_is_printed_leaves_it_whole(name: str) -> None:
    done = with_signals(name, SHOWING)
    assert (done.returncode, done.stdout, done.stderr) == (9, "one\ntwo\n", "")


ELSEWHERE = """
import threading, time
threading.Thread(target=time.sleep, args=(300,), daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.{name}])
"""
"""The signal reaches another thread, and so does not end the call of the system in which the main thread waits, just
as a signal does not that comes before that call."""


@pytest.mark.parametrize("elsewhere", ["", ELSEWHERE], ids=["", "elsewhere"])
@SIGNALS
def test_a_signal_ends_a_command_whose_result_nobody_reads(name: str, status: int, said: str, elsewhere: str) -> None:
    command = [sys.executable, "-c", (START + elsewhere).format(name=name) + STUCK]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "started\n"
        process.send_signal(getattr(signal, name))
        assert process.wait(timeout=60) == status
        assert process.stderr.read() == said + REST


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + START.format(name="SIGHUP")
    done = subprocess.run([sys.executable, "-c", ignored + "send(); print('went on')"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "went on\n")


@pytest.mark.parametrize("error", ["OSError('a library made this of it')", "ValueError()", "ArtifactError('x', 'y')"])
def test_an_error_that_a_library_makes_of_an_interrupt_is_an_interrupt(error: str) -> None:
    code = """
from pathlib import Path
from deploytool.base.errors import ArtifactError
from deploytool.cli.command import _exit_code
from deploytool.cli.invocation import Invocation

def call():
    try:
        send()
    except KeyboardInterrupt:
        raise ERROR

sys.exit(_exit_code(Invocation(Path("store"), as_json=False, quiet=True), "show", call))
"""
    done = with_signals("SIGTERM", code.replace("ERROR", error))
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "Terminated" + REST)


KEEPING = """
from deploytool.base.interrupts import number_of
from deploytool.run.jobs.resume import interruption

for times in (1, 2):
    try:
        with interruptible(), interruption(lambda _: None) as interrupted:
            for _ in range(times):
                send()
            assert interrupted.is_set()
            raise interrupted.error
    except KeyboardInterrupt as error:
        print(number_of(error) + 128)
"""


@SIGNALS
def test_a_run_may_keep_its_samples_after_any_signal_and_a_second_one_is_raised(
    name: str, status: int, said: str
) -> None:
    done = with_signals(name, KEEPING)
    assert (done.stdout, done.stderr) == (f"{status}\n" * 2, ""), said


ENDING = """
import atexit, sys, threading, time
from deploytool.cli.process import end

def run():
    atexit.register(lambda: print("cleaned up"))
    threading.Thread(target=time.sleep, args=(30,)).start()
    print("result")
    sys.exit({code})

end(run)
"""


@pytest.mark.parametrize(("code", "status"), [("None", 0), ("7", 7), ("'a sentence'", 1)])
def test_the_process_ends_at_once_with_its_exit_code(code: str, status: int) -> None:
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", ENDING.format(code=code)], capture_output=True, text=True)
    assert done.returncode == status
    assert done.stdout == "result\ncleaned up\n"
    assert done.stderr == ("a sentence\n" if "sentence" in code else "")
    assert time.monotonic() - started < 15


def test_a_log_without_a_terminal_has_every_epoch(training: list[str]) -> None:
    command = [sys.executable, "-m", "deploytool", *training, "--set", "train.epochs=2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line[:9] for line in done.stderr.splitlines() if line.startswith("epoch")] == ["epoch 1/2", "epoch 2/2"]
    assert done.stdout.startswith("{")
    assert "\x1b" not in done.stdout + done.stderr


def test_an_interrupt_while_the_command_is_imported_leaves_no_traceback() -> None:
    strike = (
        "import os, signal, sys\n"
        "class Strike:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'deploytool.cli.process':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Strike())\n"
        "from deploytool.__main__ import main\n"
        "main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", strike, "--version"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "Interrupted.\n")
