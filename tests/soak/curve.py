"""The picture of a soak: memory of the long-lived process, and sizes of the folders, over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MIB = 1 << 20


def draw(path: Path, repetitions: Sequence[Mapping[str, Any]], rounds: Sequence[Mapping[str, Any]]) -> None:
    """Writes the curves to ``path``, whose suffix names the format."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(8, 6), layout="constrained")
    minutes = [row["seconds"] / 60 for row in repetitions]
    above.plot(minutes, [row["rss_bytes"] / MIB for row in repetitions], color="#0b5394", linewidth=1)
    kept = [row for row in repetitions if "malloc_bytes" in row]
    above.plot(
        [row["seconds"] / 60 for row in kept],
        [row["malloc_bytes"] / MIB for row in kept],
        color="#0b5394",
        dashes=(4, 2),
    )
    above.set_ylim(bottom=0)
    above.set_ylabel("resident, and not freed (dashed), MiB")
    counts = above.twinx()
    for name, colour in (("descriptors", "#b45f06"), ("threads", "#38761d"), ("children", "#741b47")):
        counts.plot(minutes, [row[name] for row in repetitions], color=colour, linewidth=1, label=name)
    counts.set_ylim(bottom=0)
    counts.legend(loc="lower right")
    minutes = [row["seconds"] / 60 for row in rounds]
    for name, colour in (("store", "#0b5394"), ("temporary", "#b45f06")):
        below.plot(minutes, [row[f"{name}_bytes"] / MIB for row in rounds], color=colour, linewidth=1, label=name)
    below.set_ylim(bottom=0)
    below.set_ylabel("folders, MiB")
    below.set_xlabel("minutes")
    below.legend(loc="lower right")
    figure.savefig(path)
    pyplot.close(figure)
