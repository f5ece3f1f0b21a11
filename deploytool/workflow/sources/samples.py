"""Samples that a user names: data sets, event files, calibration samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from deploytool.base.arrays import Shape, format_shape
from deploytool.base.errors import InputError, UsageError
from deploytool.base.files import is_file, is_folder
from deploytool.base.messages import Messages
from deploytool.base.nearest import did_you_mean
from deploytool.ir.events import EventStream
from deploytool.recipe import DataSection, MapSection, asked

if TYPE_CHECKING:
    from deploytool.data.formats.reading import Reading
    from deploytool.data.recordings.classes import Classes

Say: TypeAlias = Callable[[str], None]

CALIBRATION_PARTS: Final = 3
"""One in this many calibration samples is for the search; the others decide which result is kept."""


NOTHING: Final[Mapping[str, Any]] = {}
OWN: Final = "events"
"""The data set of a user's own recordings."""

NAMES: Final = "classes"
"""The key of what a manifest says of the classes of recordings: their names, if they are not numbers."""
IN_MEMORY: Final = "in memory"
"""The key of what a manifest says of samples that a script gave."""


def silent(line: str) -> None:
    """Does nothing."""


@dataclass(frozen=True)
class SampleSource:
    """Samples to run: ``load(shape)`` reads them, ``identify()`` names their content, ``says`` states the request.

    ``labelled(classes)`` loads them with labels that are the outputs of a network; None if they have no names.
    If ``stored``, they are kept in the store: ``says``, ``fingerprint``, shape and classes then determine them.
    ``map`` is theirs if it is known before they are read, of the set called ``says["set"]``.
    ``unsplit`` is the folder of recordings that are all taken, because nothing in it says which are for the test.
    """

    says: Mapping[str, Any]
    identify: Callable[[], str]
    load: Callable[[Shape], Sequence[EventStream]]
    labelled: Callable[[Classes], Callable[[Shape], Sequence[EventStream]]] | None = None
    unsplit: Path | None = None
    stored: bool = False
    map: Shape | None = None

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the samples, for which their files are read."""
        return self.identify()

    def require(self, shape: Shape) -> None:
        """Raises InputError if it is known that they are not on a map of ``shape``, the input of a program.

        Those with two polarities can be merged into one.
        """
        fitting = (shape, (2, *shape[1:])) if shape[0] == 1 else (shape,)
        if self.map is not None and self.map not in fitting:
            found = f"events on a map of {format_shape(self.map)}"
            raise InputError(f"data.set {self.says['set']}", found, f"{format_shape(shape)}, the input of this program")

    def of(self, classes: Classes) -> SampleSource:
        """These samples, with the labels of a network with ``classes``."""
        if self.labelled is None:
            return self
        return replace(self, load=self.labelled(classes), labelled=None, stored=False)


def dataset(section: DataSection, seed: int, say: Say = silent) -> SampleSource:
    """The test samples of a recipe's data set; a network with one input feature gets merged polarities."""
    from deploytool.data.recordings.classes import NOT_KNOWN, numbered
    from deploytool.data.sets.table import class_names, fingerprint, load_tests, map_of
    from deploytool.data.transforms import MERGED, Merge

    def test(classes: Classes, shape: Shape) -> Sequence[EventStream]:
        found = load_tests(section)
        if classes.names and (names := class_names(section)) and names != classes.names:
            numbers = numbered(names, classes, f"data.set {section.set}")
            found = found.relabelled([numbers.of(name) for name in names])
        if shape[0] == 1 and len(found) and found[0].shape[0] == 2:
            say(MERGED)
            return found.map(Merge())
        return found

    says = section.model_dump(mode="json", exclude={"root"})

    def labelled(classes: Classes) -> Callable[[Shape], Sequence[EventStream]]:
        return partial(test, classes)

    identify = cache(partial(fingerprint, section, seed))
    return SampleSource(says, identify, labelled(NOT_KNOWN), labelled, stored=True, map=map_of(section))


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
    from deploytool.data.sets.sources import DATASETS

    if data not in DATASETS:
        raise UsageError("--download", "given without a data set", f"--data with one of {', '.join(DATASETS)}")
    obtain(asked(DataSection, set=data, root=root, download=True), messages)


def samples(
    data: str, root: str | None, denoise_ms: float | None, count: int | None, reading: Reading, say: Say = silent
) -> SampleSource:
    """The test samples of the data set called ``data``, or else the recordings in the file or folder of that name.

    See `chosen`.
    """
    return chosen(data, {"root": root, "denoise_ms": denoise_ms, "test_samples": count}, reading, say)


def chosen(data: str, keys: Mapping[str, Any], reading: Reading, say: Say = silent) -> SampleSource:
    """The test samples of the data set called ``data``, or else the recordings in the file or folder of that name.

    ``keys`` are those of [data] that are given, None for those that are not. ``say`` receives what is done to samples
    when they are loaded. Raises UsageError for options of the other kind of data, InputError if neither exists.
    """
    from deploytool.data.sets.sources import DATASETS

    given = {key: value for key, value in keys.items() if value is not None}
    if data in DATASETS:
        if options := reading.options:
            raise UsageError(", ".join(options), f"given with the data set {data}", "a file or a folder in --data")
        return dataset(asked(DataSection, set=data, **given), seed=0, say=say)
    path = Path(data)
    if not is_file(path) and not is_folder(path):
        found, need = "neither a data set nor a file or folder", f"one of {', '.join(DATASETS)}, an event file"
        raise InputError(f"--data {data}", found, f"{need}, or a folder of them", did_you_mean(data, DATASETS))
    if "root" in given:
        raise UsageError("--root", f"given with the file or folder {data}", "a data set's name in --data")
    return _files(path, asked(DataSection, set=OWN, **given), reading, say)


def calibration(section: DataSection, seed: int, count: int) -> SampleSource:
    """``CALIBRATION_PARTS * count`` training samples of a data set, spread evenly over its classes; never test samples.

    Loading raises UsageError if there are too few.
    """
    from deploytool.data.samples import even_subset
    from deploytool.data.sets.table import fingerprint, load_events, map_of

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
    identify = cache(partial(fingerprint, section, seed))
    return SampleSource(says, identify, training, stored=True, map=map_of(section))


def asked_calibration(
    quantise: str, data: str | None, root: str | None, count: int | None, keys: Mapping[str, Any] = NOTHING
) -> SampleSource | None:
    """The calibration samples of the data set called ``data``, or of the folder of recordings of that name, with other
    ``keys`` of [data]; None when ``quantise`` is "plain".

    Raises UsageError for another way to quantise, a missing data set, or one that is not used.
    """
    if quantise not in ("plain", "calibrated"):
        raise UsageError("--quantise", f"found {quantise!r}", "plain or calibrated")
    if quantise == "plain":
        if data or root or count or any(value is not None for value in keys.values()):
            raise UsageError(
                "--data, --root, --calibration-samples", "given with --quantise plain", "--quantise calibrated"
            )
        return None
    from deploytool.data.sets.sources import DATASETS

    if data is None or (data not in DATASETS and not is_folder(Path(data))):
        found = f"found --data {data}" if data else "no --data"
        need = f"a data set with a training part: {', '.join(DATASETS)}, or a folder of recordings"
        raise UsageError("--quantise calibrated", found, need)
    if data not in DATASETS and root is not None:
        raise UsageError("--root", f"given with the folder {data}", "a data set's name in --data")
    given = {key: value for key, value in keys.items() if value is not None}
    place = {"set": data, "root": root} if data in DATASETS else {"set": OWN, "root": data}
    section = asked(DataSection, **place, **given)
    return calibration(section, seed=0, count=count or MapSection().calibration_samples)


def stated_of_files(says: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the fields of the Reading, the keys of [data]) that a manifest ``says`` files were read with."""
    mark = "--"
    reading = {key.removeprefix(mark).replace("-", "_"): value for key, value in says.items() if key.startswith(mark)}
    keys = {key: value for key, value in says.items() if not key.startswith(mark) and key not in ("files", NAMES)}
    return reading, keys


def _files(path: Path, section: DataSection, reading: Reading, say: Say) -> SampleSource:
    """The recordings in ``path``, changed and cut as ``section`` says."""
    from deploytool.data.recordings.chosen import Asked, chosen_folder, read_events
    from deploytool.data.recordings.classes import NOT_KNOWN, is_number
    from deploytool.data.samples import even_subset

    def load(classes: Classes, shape: Shape) -> Sequence[EventStream]:
        found = read_events(path, shape, Asked(reading, section, classes), say)
        if section.test_samples is None or section.test_samples >= len(found):
            return found
        return found.take(even_subset(found.labels, section.test_samples, seed=0))

    folder = chosen_folder(path)
    says: dict[str, Any] = {"files": path.name, **reading.options}
    says |= section.model_dump(mode="json", exclude={"set"}, exclude_defaults=True)
    if names := [name for name in sorted(folder.class_names) if name and not is_number(name)]:
        says[NAMES] = names
    whole = path if is_folder(path) and not folder.is_split else None
    return SampleSource(
        says, cache(lambda: folder.fingerprint), partial(load, NOT_KNOWN), lambda classes: partial(load, classes), whole
    )
