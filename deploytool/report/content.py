"""The content of a report: everything known about one deployment, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deploytool.ir.divergence import Explained
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording
from deploytool.ir.sweep import Sweep
from deploytool.ir.verdict import Verdict
from deploytool.report.choice import Choice


@dataclass(frozen=True)
class Provenance:
    """One artifact: its name in the store, its kind, its full digest, and the names of its inputs."""

    name: str
    kind: str
    digest: str
    made_from: tuple[str, ...] = ()


@dataclass(frozen=True)
class Origin:
    """How the content came about: the artifacts, the commands that make it again, the recipe, and the versions.

    ``commands`` are (what it does, command line). ``recipe`` is TOML, empty if the network was not trained here;
    ``versions`` {package: version} are those that made it. ``trained_on`` is the sentence about the machine of the
    training, empty if that is not known.
    """

    artifacts: tuple[Provenance, ...] = ()
    commands: tuple[tuple[str, str], ...] = ()
    recipe: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    trained_on: str = ""


@dataclass(frozen=True)
class Divergence:
    """Why the runs ``reference`` and ``test`` differ, in some samples; ``problem`` says why not in more, or ""."""

    reference: str = ""
    test: str = ""
    explained: tuple[Explained, ...] = ()
    problem: str = ""


@dataclass(frozen=True, eq=False)
class ReportContent:
    """The content of a report.

    ``runs`` {name in the verdict: recording} are the runs it is about. ``chosen`` are the samples to show, and
    ``replayed`` {name: recording} runs of these samples again, in order, with every spike.
    ``program`` is the one on the chip, or on the simulator. ``history`` has one row per epoch with "epoch",
    "loss", "validation_loss", "accuracy" and "validation_accuracy" (% right). ``quantisation`` has one row per
    layer with the keys of network.QUANTISATION and "warnings", sentences without full stop. ``splits`` has "layer",
    "into" and "why" of each layer that was split or got relays; ``calibration`` is what calibration found, as
    map/calibrate.py reports it, None if the plain rule was used. ``sweeps`` are those of the network. ``originals``
    {layer: its name in the user's file or module} are of the layers that got a readable name.
    """

    title: str
    verdict: Verdict
    runs: Mapping[str, Recording]
    program: Program
    chosen: tuple[Choice, ...] = ()
    replayed: Mapping[str, Recording] = field(default_factory=dict)
    history: tuple[Mapping[str, Any], ...] = ()
    quantisation: tuple[Mapping[str, Any], ...] = ()
    splits: tuple[Mapping[str, Any], ...] = ()
    calibration: Mapping[str, Any] | None = None
    sweeps: tuple[Sweep, ...] = ()
    divergence: Divergence = Divergence()
    origin: Origin = Origin()
    originals: Mapping[str, str] = field(default_factory=dict)
