"""Samples that a user names: data sets, event files, calibration samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from deploytool.base.arrays import Shape
from deploytool.base.errors import InputError, UsageError
from deploytool.base.files import is_file, is_folder
from deploytool.base.messages import Messages
from deploytool.ir.events import EventStream
from deploytool.recipe import DataSection, MapSection, asked

if TYPE_CHECKING:
    from deploytool.data.formats.reading import Reading

Say: TypeAlias = Callable[[str], None]

CALIBRATION_PARTS: Final = 3
"""One in this many calibration samples is for the search; the others decide which result is kept."""


IN_MEMORY: Final = "in memory"
"""The key of what a manifest says of samples that a script gave."""


def silent(line: str) -> None:
    """Does nothing."""


@dataclass(frozen=True)
class SampleSource:
    """Samples to run: ``load(shape)`` reads them, ``fingerprint`` names their content, ``says`` states the request."""

    says: Mapping[str, Any]
    fingerprint: str
    load: Callable[[Shape], Sequence[EventStream]]


def dataset(section: DataSection, seed: int, say: Say = silent) -> SampleSource:
    """The test samples of a recipe's data set; a network with one input feature gets merged polarities."""
    from deploytool.data.sets.table import fingerprint, load_events
    from deploytool.data.transforms import MERGED, Merge

    def test(shape: Shape) -> Sequence[EventStream]:
        found = load_events(section, seed)
        if shape[0] == 1 and found.shape[0] == 2:
            say(MERGED)
            return found.test.map(Merge())
        return found.test

    return SampleSource(section.model_dump(mode="json", exclude={"root"}), fingerprint(section, seed), test)


def obtain(section: DataSection, messages: Messages) -> None:
    """Downloads the data set of ``section`` if it asks for that and it is not there.

    Raises RecipeError for a set that cannot be downloaded, InputError if the download fails.
    """
    if section.download:
        from deploytool.data.sets.table import obtain as fetch

        with messages.progress(f"download {section.set}", "kB") as tick:
            if fetch(section, tick):
                messages.say(f"Downloaded the data set {section.set}.")


def obtain_named(data: str | None, root: str | None, messages: Messages) -> None:
    """Downloads the data set called ``data`` into ``root`` if it is not there; raises as `obtain`.

    Raises UsageError for what is no data set.
    """
    from deploytool.data.sets.table import DATASETS

    if data not in DATASETS:
        raise UsageError("--download", "given without a data set", f"--data with one of {', '.join(DATASETS)}")
    obtain(asked(DataSection, set=data, root=root, download=True), messages)


def samples(
    data: str, root: str | None, denoise_ms: float | None, count: int | None, reading: Reading, say: Say = silent
) -> SampleSource:
    """The test samples of the data set called ``data``, or else the recordings in the file or folder of that name.

    ``say`` receives what is done to samples when they are loaded. Raises UsageError for options of the other kind of
    data, InputError if neither exists.
    """
    from deploytool.data.sets.table import DATASETS

    if data in DATASETS:
        if given := reading.options:
            raise UsageError(", ".join(given), f"given with the data set {data}", "a file or a folder in --data")
        section = asked(DataSection, set=data, root=root, denoise_ms=denoise_ms, test_samples=count)
        return dataset(section, seed=0, say=say)
    path = Path(data)
    if not is_file(path) and not is_folder(path):
        found, need = "neither a data set nor a file or folder", f"one of {', '.join(DATASETS)}, an event file"
        raise InputError(f"--data {data}", found, f"{need}, or a folder of them")
    if root or denoise_ms or count:
        raise UsageError(
            "--root, --denoise-ms, --samples", f"given with the file {data}", "a data set's name in --data"
        )
    return _files(path, reading, say)


def calibration(section: DataSection, seed: int, count: int) -> SampleSource:
    """``CALIBRATION_PARTS * count`` training samples of a data set, spread evenly over its classes; never test samples.

    Loading raises UsageError if there are too few.
    """
    from deploytool.data.samples import even_subset
    from deploytool.data.sets.table import fingerprint, load_events

    def training(_: Shape) -> Sequence[EventStream]:
        found, wanted = load_events(section, seed).train, CALIBRATION_PARTS * count
        if wanted > len(found):
            raise UsageError(
                "calibration samples",
                f"found {count}",
                f"at most {len(found) // CALIBRATION_PARTS}",
                f"There are {len(found)} training samples, and each one searched needs two more for the decision.",
            )
        return found.take(even_subset(found.labels, wanted, seed))

    says = {**section.model_dump(mode="json", exclude={"root"}), "training_samples_of": count}
    return SampleSource(says, fingerprint(section, seed), training)


def asked_calibration(quantise: str, data: str | None, root: str | None, count: int | None) -> SampleSource | None:
    """The calibration samples of the data set called ``data``; None when ``quantise`` is "plain".

    Raises UsageError for another way to quantise, a missing data set, or one that is not used.
    """
    if quantise not in ("plain", "calibrated"):
        raise UsageError("--quantise", f"found {quantise!r}", "plain or calibrated")
    if quantise == "plain":
        if data or root or count:
            raise UsageError(
                "--data, --root, --calibration-samples", "given with --quantise plain", "--quantise calibrated"
            )
        return None
    from deploytool.data.sets.table import DATASETS

    if data not in DATASETS:
        found = f"found --data {data}" if data else "no --data"
        raise UsageError("--quantise calibrated", found, f"a data set with a training part: {', '.join(DATASETS)}")
    return calibration(DataSection(set=data, root=root), seed=0, count=count or MapSection().calibration_samples)


def _files(path: Path, reading: Reading, say: Say) -> SampleSource:
    from deploytool.data.formats.files import fingerprint, read_events

    says = {"files": path.name, **reading.options}
    return SampleSource(says, fingerprint(path), lambda shape: read_events(path, shape, reading, say))
