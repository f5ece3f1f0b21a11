"""The verb device: what is connected, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from deploytool.base.errors import ArtifactError, TargetError, UsageError
from deploytool.base.files import require_writable
from deploytool.base.numbers import rounded
from deploytool.chip.chips import chip_named
from deploytool.store.file_names import CONFIGURATION

if TYPE_CHECKING:
    from deploytool.ir.program import Program
    from deploytool.run.jobs.job import Job
    from deploytool.run.targets.board import Board
    from deploytool.run.targets.board_live import Moment
    from deploytool.run.targets.options import Configure
    from deploytool.store.artifact import Artifact
    from deploytool.store.cache import StageCache

EMULATOR: Final = "emulator"
PACES: Final = {"own": 1.0, "max": None}


def devices() -> dict[str, Any]:
    """{"devices": every device that can be named, "boards": those connected, "missing": why no board can be used}.

    The emulator is always there.
    """
    from deploytool.run.targets.board import list_devices

    boards: dict[str, str] = {}
    missing = None
    try:
        boards = list_devices()
    except TargetError as error:
        missing = str(error)
    rows = [{"device": name, "is": says} for name, says in boards.items()]
    return {"devices": [EMULATOR, *boards], "boards": rows, "missing": missing or _none_connected(boards)}


def _none_connected(boards: dict[str, str]) -> str | None:
    return None if boards else "No board is connected, or its USB device may not be opened by this user."


def info(device: str) -> dict[str, Any]:
    """What is known of ``device``: its chip and cores; of a board also its identity, the driver, and the power rails.

    Raises UsageError for an unknown name, and TargetError if a board or its driver is missing.
    """
    if device == EMULATOR:
        return {"device": device, "is": "every chip in software, spike for spike", **_chip("speck2e")}
    from deploytool.run.targets.board import driver_version, kind_of_board, list_devices
    from deploytool.run.targets.board_kinds import RAILS

    kind, connected = kind_of_board(device), list_devices()
    if device not in connected:
        raise TargetError(device, "this board is not connected", ", ".join(connected) or "a board")
    found = {"device": device, "is": connected[device], "samna": driver_version(), "rails": list(RAILS)}
    return found | _chip(kind.chip)


def _chip(name: str) -> dict[str, Any]:
    chip = chip_named(name)
    cores = [
        {"core": i, "kernel_words": core.kernel_words, "neuron_words": core.neuron_words, "lanes": core.parallel_lanes}
        for i, core in enumerate(chip.cores)
    ]
    return {"chip": chip.name, "cores": cores}


def parse_pace(text: str) -> float | None:
    """How much faster than recorded "own", "max" or a number is; None is as fast as the board takes events."""
    if text in PACES:
        return PACES[text]
    try:
        pace = float(text)
    except ValueError:
        pace = 0.0
    if not 0 < pace < float("inf"):
        raise UsageError("--pace", f"found {text!r}", "own, max, or how much faster: a number above 0")
    return pace


def repeated(job: Job, repeats: int, run: Callable[[Job], Artifact]) -> dict[str, Any]:
    """The recordings of ``repeats`` equal runs of ``job``, and how far each is from the first."""
    from deploytool.ir.recording_file import load_recording
    from deploytool.validate import metrics

    made = [run(replace(job, repeat=repeat)) for repeat in range(repeats)]
    recordings = [load_recording(artifact.path) for artifact in made]
    rows = [
        {
            "recording": artifact.name,
            "accuracy_percent": rounded(metrics.accuracy(recording)),
            "difference_from_first_percent": rounded(metrics.spike_difference(recordings[0], recording).pooled),
            "same_prediction_percent": rounded(metrics.agreement(recordings[0], recording)),
        }
        for artifact, recording in zip(made, recordings, strict=True)
    ]
    return {"on": job.on, "repeats": rows}


def live(cache: StageCache, program: str, name: str, seconds: float, tell: Callable[[str], None]) -> dict[str, Any]:
    """What a program says of a board's sensor for ``seconds``: a line every half second, and all of it together.

    The configuration is the stored one, with what the recipe says of the sensor and the readout.
    Raises UsageError for a device without a sensor, and TargetError as a run does.
    """
    from deploytool.ir.program_file import load_program
    from deploytool.run.targets.board_live import watch_live
    from deploytool.workflow.zoo import program_named

    artifact = program_named(cache, program)
    loaded, spacing = _as_configured(load_program(artifact.path), artifact)
    moments: list[Moment] = []

    def say(moment: Moment) -> None:
        moment = replace(moment, decision=moment.decision // spacing)
        moments.append(moment)
        power = ", ".join(f"{rail} {mw:.3f} mW" for rail, mw in moment.power_mw.items()) or "power not measured"
        decision = "no decision" if moment.decision < 0 else f"class {moment.decision}"
        tell(f"{moment.at_s:7.1f} s  {decision}  {moment.events_per_s:,.0f} events/s  {moment.spikes} spikes  {power}")

    watch_live(_board(name, lambda _: artifact.read_json(CONFIGURATION)), loaded, seconds, EVERY_S, say)
    events = sum(moment.events for moment in moments)
    return {
        "device": name,
        "seconds": moments[-1].at_s if moments else 0.0,
        "events": events,
        "spikes": sum(moment.spikes for moment in moments),
        "decisions": [moment.decision for moment in moments],
        "power_mw": _mean_power(moments),
    }


def _as_configured(program: Program, artifact: Artifact) -> tuple[Program, int]:
    """``program`` as its stored configuration has it, and the spacing of its classes, which a readout widens."""
    from deploytool.map.readout import as_configured, class_spacing

    stored = artifact.read_json(CONFIGURATION)
    if stored is None:
        raise UsageError(artifact.name, "a program for the simulator", "one for a chip", "deploytool map GRAPH")
    chip = chip_named(program.chip)
    return as_configured(program, chip, stored), class_spacing(chip, stored)


EVERY_S: Final = 0.5
"""How often a live run says what it sees."""


def _mean_power(moments: list[Moment]) -> dict[str, float]:
    rails = dict.fromkeys(rail for moment in moments for rail in moment.power_mw)
    return {
        rail: float(np.mean([moment.power_mw[rail] for moment in moments if rail in moment.power_mw])) for rail in rails
    }


def record(name: str, file: Path, seconds: float) -> dict[str, Any]:
    """Writes what a board's sensor sees for ``seconds`` to the numpy ``file``, with the fields t, c, y and x.

    An interrupted recording is written as far as it came. Raises UsageError for a device without a sensor or another
    kind of file, ArtifactError if it cannot be written, and TargetError as a run does.
    """
    from deploytool.ir.events import EVENT
    from deploytool.run.targets.board_live import record_sensor
    from deploytool.workflow.map import configure

    if file.suffix != ".npy":
        raise UsageError(str(file), "the name of a recording", "one that ends in .npy")
    require_writable(file)
    pieces = [np.zeros(0, EVENT)]
    board = _board(name, configure)
    try:
        record_sensor(board, seconds, pieces.append)
    finally:
        events = np.concatenate(pieces)
        try:
            np.save(file, events, allow_pickle=False)
        except OSError as error:
            raise ArtifactError(str(file), f"cannot be written ({error.strerror})", "a file in a folder") from None
    return {"device": name, "file": str(file), "events": len(events), "seconds": seconds}


def _board(name: str, configure: Configure) -> Board:
    from deploytool.run.targets.board import Board

    if name == EMULATOR:
        raise UsageError(name, "has no sensor", "a board such as speck2edevkit:0")
    return Board(name, configure)
