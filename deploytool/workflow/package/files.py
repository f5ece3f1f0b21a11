"""The files of a package, all made from a program, its configuration and its known answer."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.base.json_text import canonical_json
from deploytool.chip.chips import chip_named
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording
from deploytool.map.c_header import c_header
from deploytool.map.readout import class_spacing
from deploytool.run.reference.specification import routed
from deploytool.run.targets.board_kinds import BOARDS
from deploytool.store.artifact import Artifact, Store
from deploytool.store.file_names import CONFIGURATION
from deploytool.store.lineage import ancestors
from deploytool.store.manifest import MADE_BY
from deploytool.workflow.package.texts import checklist, licence, readme
from deploytool.workflow.sources.samples import SampleSource

FORMAT: Final = 1
"""The version of the package's files."""
SCRIPTS: Final = ("run.py", "emulate.py", "check.py")
VLAB: Final = "vlab/make_bundle.py"
ABOUT_MACHINES: Final = ("root",)
"""Keys of a recipe that say where something is on a machine, and are left out."""
MAP: Final = (("y", "<u2"), ("x", "<u2"))

EVENTS: Final = np.dtype([("sample", "<u4"), ("t", "<i8"), ("c", "<u2"), *MAP])
SENT: Final = np.dtype([("sample", "<u4"), ("event", "<i8"), ("t", "<i8"), ("core", "|u1"), ("feature", "<u2"), *MAP])
SPIKES: Final = np.dtype([("sample", "<u4"), ("t", "<i8"), ("core", "|u1"), ("feature", "<u2"), *MAP])


@dataclass(frozen=True, eq=False)
class Contents:
    """What a package is made from: a ``program`` as its chip runs it, the ``configuration``, and the known answer:
    the emulator's ``recording`` of ``streams``, which come from ``source``."""

    artifact: Artifact
    program: Program
    configuration: Mapping[str, Any]
    streams: Sequence[EventStream]
    recording: Recording
    source: SampleSource


def contents(store: Store, packed: Contents, vlab: bool) -> dict[str, bytes]:
    """{name: content} of every file, in the order of the archive; the last one has the checksums of all others.

    With ``vlab`` the script for the remote laboratory is one of them.
    """
    scripts = (*SCRIPTS, *((VLAB,) if vlab else ()))
    network = _network(packed)
    made = {
        "configuration.json": (packed.artifact.path / CONFIGURATION).read_bytes(),
        "network.json": _json(network),
        "known_answer/events.npy": _npy(_events(packed.streams)),
        "known_answer/sent.npy": _npy(_sent(packed)),
        "known_answer/spikes.npy": _npy(_spikes(packed)),
        **{name: template(name) for name in scripts},
        "c/speck_configuration.h": c_header(packed.configuration, packed.artifact.name).encode("ascii"),
        "provenance.json": _json(_provenance(store, packed)),
        "CHECKLIST.md": checklist(network, packed.configuration).encode(),
        "LICENSE": licence(distribution("deploytool").read_text("licenses/LICENSE") or "").encode(),
    }
    made = {"README.md": readme(network, packed.artifact.name, made).encode(), **made}
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in made.items())
    return {**made, "SHA256SUMS": sums.encode()}


def template(name: str) -> bytes:
    """The file ``name`` that is the same in every package."""
    return files("deploytool.workflow.package").joinpath("templates", f"{Path(name).name}.txt").read_bytes()


def _network(packed: Contents) -> dict[str, Any]:
    """What the scripts have to know beside the configuration."""
    program = packed.program
    spacing = class_spacing(chip_named(program.chip), packed.configuration)
    return {
        "format": FORMAT,
        "chip": program.chip,
        "boards": {
            kind.device_type: {"source": kind.source, "sink": kind.sink}
            for kind in BOARDS.values()
            if kind.chip == program.chip
        },
        "input_shape": list(program.input_shape),
        "cores": [_core(program, name) for name in program.layers],
        "classes": [place for name in program.outputs for place in _neurons(program, name)][::spacing],
        "samples": [
            {
                "name": stream.name,
                "label": stream.label,
                "duration_us": stream.duration_us,
                "events": len(stream),
                "answer": int(answer) // spacing if answer >= 0 else -1,
            }
            for stream, answer in zip(packed.streams, packed.recording.predictions, strict=True)
        ],
    }


def _core(program: Program, name: str) -> dict[str, Any]:
    logical, first = program.place_in(name)
    shape = list(program.layers[name].out_shape)
    core = program.core_of[name]
    return {"core": core, "layer": name, "logical": logical, "first_feature": first, "shape": shape}


def _neurons(program: Program, name: str) -> Iterator[list[int]]:
    """[core, feature, y, x] of every neuron of a layer, row-major."""
    for place in np.ndindex(program.layers[name].out_shape):
        yield [program.core_of[name], *place]


def _events(streams: Sequence[EventStream]) -> NDArray[np.void]:
    """The input events of all samples, on the map of the network's input."""
    listed = np.zeros(sum(map(len, streams)), EVENTS)
    listed["sample"] = np.repeat(np.arange(len(streams)), [len(stream) for stream in streams])
    for name in EVENT.names or ():
        listed[name] = np.concatenate([stream.events[name] for stream in streams])
    return listed


def _sent(packed: Contents) -> NDArray[np.void]:
    """The input events as they are sent: one to the core at the end of each input route, pooled."""
    program, rows = packed.program, []
    for sample, stream in enumerate(packed.streams):
        for number, (t_us, *place) in enumerate(stream.events.tolist()):
            for route in program.input_routes:
                into = program.layers[route.to].single.in_shape
                arrivals = routed((place[0], place[1], place[2]), route, into)
                rows += [(sample, number, t_us, program.core_of[route.to], *arrival) for arrival in arrivals]
    return np.array(rows, SENT)


def _spikes(packed: Contents) -> NDArray[np.void]:
    """The emulator's spikes, core by core and sample by sample, each in the order in which they left."""
    program, parts = packed.program, []
    for name in program.layers:
        logical, first = program.place_in(name)
        spikes = packed.recording.spikes[logical]
        last = first + program.layers[name].out_shape[0]
        own = spikes[(spikes["c"] >= first) & (spikes["c"] < last)]
        listed = np.zeros(len(own), SPIKES)
        for field in ("sample", "t", "y", "x"):
            listed[field] = own[field]
        listed["core"], listed["feature"] = program.core_of[name], own["c"] - np.uint16(first)
        parts.append(listed)
    together = np.concatenate(parts)
    return together[np.argsort(together["sample"], kind="stable")]


def _provenance(store: Store, packed: Contents) -> dict[str, Any]:
    """What the package was made from and by; times and folders are left out, so that it is the same everywhere."""
    return {
        "format": FORMAT,
        "made_by": MADE_BY,
        "program_digest": packed.program.digest,
        "graph_digest": packed.program.graph_digest,
        "samples": {"asked": _placeless(dict(packed.source.says)), "fingerprint": packed.source.fingerprint},
        "lineage": [_origin(artifact) for artifact in (packed.artifact, *ancestors(store, packed.artifact))],
    }


def _origin(artifact: Artifact) -> dict[str, Any]:
    manifest = artifact.manifest
    stated = {"inputs": manifest.inputs, "files": manifest.files, "recipe": _placeless(manifest.recipe)}
    return {"artifact": artifact.name, "digest": artifact.digest, "made_by": manifest.made_by, **stated}


def _placeless(value: Any) -> Any:
    """``value`` without the keys in `ABOUT_MACHINES`."""
    if isinstance(value, Mapping):
        return {key: _placeless(item) for key, item in value.items() if key not in ABOUT_MACHINES}
    return [_placeless(item) for item in value] if isinstance(value, list | tuple) else value


def _json(value: Any) -> bytes:
    return canonical_json(value).encode()


def _npy(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
