"""The texts of a package for people: what it holds, what to do when the board arrives, and the licence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

FILES: Final[Mapping[str, str]] = {
    "CHECKLIST.md": "what to do when a board arrives, and what nobody has checked yet",
    "check.py": "checks the files, and an answer against the emulator's; needs numpy",
    "emulate.py": "executes `configuration.json` on the samples without a board; needs numpy",
    "run.py": "runs the samples on a board; needs numpy and samna",
    "configuration.json": "the chip's configuration, in the terms of samna",
    "network.json": "the layers on the cores in the order of processing, the classes, the samples",
    "known_answer/events.npy": "input events on the input map: sample, t (us), c, y, x",
    "known_answer/sent.npy": "the same as they are sent to cores: sample, event, t (us), core, feature, y, x",
    "known_answer/spikes.npy": "the emulator's spikes: sample, t (us), core, feature, y, x, before pooling",
    "c/speck_configuration.h": "the configuration as C arrays, for microcontrollers",
    "vlab/make_bundle.py": "writes the bundle of a remote laboratory; needs torch, sinabs and samna, writes pickles",
    "provenance.json": "what the package was made from, and by which version",
    "LICENSE": "the licence of the scripts, the header and these texts",
}
MEANINGFUL: Final = "\\`*[]<>|#!&~$"
"""Characters with a meaning in Markdown."""
MEASURED: Final = "1.05 %"
"""The pooled spike difference between a Speck and the emulator, in the one comparison there is (docs/trust.md)."""


def readme(network: Mapping[str, Any], program: str, names: Iterable[str]) -> str:
    """README.md of the package of ``program`` with the files ``names``."""
    used = "".join(
        f"| {core['core']} | {_text(core['layer'])} | {'x'.join(map(str, core['shape']))} |\n"
        for core in network["cores"]
    )
    listed = "".join(f"| `{name}` | {FILES[name]} |\n" for name in FILES if name in names)
    shape = "x".join(map(str, network["input_shape"]))
    return f"""# {_text(program)} for {_text(network["chip"])}

A spiking network as it is put on the chip, and {len(network["samples"])} samples with the answer of an emulator.
The scripts do not need deploytool, which made this package. It has not been run on a chip.

    python check.py                             are the files as they were packed?
    python emulate.py && python check.py answer.npy
                                                without a board: does the configuration give the known answer?
    python run.py && python check.py answer.npy --tolerance 5
                                                with a board: does the chip?

Input: events on a map of {shape} (features, rows, columns). Maps are written as features x rows x columns.

| core | layer | neurons |
| --- | --- | --- |
{used}
| file | what it is |
| --- | --- |
{listed}| `SHA256SUMS` | checksums of all other files, for `sha256sum -c` |

The weights belong to whoever trained the network. LICENSE covers the scripts, the header and these texts.
"""


def checklist(network: Mapping[str, Any], configuration: Mapping[str, Any]) -> str:
    """CHECKLIST.md: the steps when a board arrives, and the assumptions of the configuration that are unconfirmed."""
    boards = ", ".join(_text(board) for board in network["boards"]) or "none that deploytool knows"
    assumed = [*configuration["unknown"], *_merges(network)]
    unknown = "".join(f"- [ ] {_text(line)}\n" for line in assumed) or "Nothing is listed.\n"
    cores = ", ".join(str(core["core"]) for core in network["cores"])
    samples = network["samples"]
    longest_ms = max(sample["duration_us"] for sample in samples) / 1000
    return f"""# When the board arrives

## Before it is connected

- [ ] `python check.py` says that every file is as it was packed.
- [ ] `python emulate.py` and `python check.py answer.npy` pass. They need no board.
- [ ] The board is one of: {boards}.
- [ ] samna 0.46 or later is installed from SynSense's own package index. The samna on PyPI is a placeholder that starts
      an installation over the network when it is imported; `run.py` refuses it.
- [ ] On Linux, the udev rules of SynSense are installed, so that the board opens without root.

## First contact

- [ ] `python run.py` finds the board and writes `answer.npy`: {len(samples)} samples of at most {longest_ms:g} ms,
      on cores {cores}.
- [ ] Run it twice. Note how far the two answers differ: that is the chip's own spread.
- [ ] `python check.py answer.npy --tolerance 5`. The first layer of one network on a Speck differed
      from the emulator by {MEASURED}, pooled over five recordings, and by nothing in one of them.
- [ ] If one core differs much more than the cores before it, look there first: weights (axes [out][in][kx][ky]),
      thresholds, pooling, destinations.
- [ ] If all samples after the first differ, the membranes were not reset: `run.py` writes each of them before every
      sample, at the address y | x | feature.
- [ ] Note the firmware, the version of samna, the supply and the temperature beside the numbers.

## Assumptions of this configuration that no source confirms

{unknown}"""


def _merges(network: Mapping[str, Any]) -> Iterator[str]:
    """Assumptions about layers that are split over several cores."""
    for name in dict.fromkeys(core["logical"] for core in network["cores"]):
        parts = [core["layer"] for core in network["cores"] if core["logical"] == name]
        if len(parts) > 1:
            yield f"{name}: that the spikes of {' and '.join(parts)} arrive in the order of the layer that they are"


def licence(text: str) -> str:
    """LICENSE: what it covers, and the ``text`` of the licence."""
    covers = (
        "The scripts, the C header and the texts of this package come from deploytool; the licence below covers them."
    )
    return f"""{covers}
The weights and the configuration made from them belong to whoever trained the network.

{text.strip(chr(10))}
"""


def _text(text: str) -> str:
    """``text`` for Markdown: every character that could mean something there is a numeric entity."""
    return "".join(c if c.isprintable() and c not in MEANINGFUL else f"&#{ord(c)};" for c in text)
