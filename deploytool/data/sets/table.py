"""The data sets as recipes ask for them: what their samples look like, and how they are loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any, Final, Generic, Literal, cast

from deploytool.base.arrays import Shape
from deploytool.base.digest import digest
from deploytool.base.errors import DeployError, InputError, RecipeError
from deploytool.base.progress import Tick
from deploytool.data.images import CountCoding, Fit, Image, RateCoding
from deploytool.data.samples import Part, Samples, even_subset, hold_out
from deploytool.data.sets import events, speech
from deploytool.data.sets.downloads import DOWNLOADS, download
from deploytool.data.sets.folders import place_of
from deploytool.data.sets.source import PARTS, Made, Source
from deploytool.data.sets.sources import DATASETS, EVENT_SETS, IMAGE_SETS, SPEECH_SETS
from deploytool.data.steps import (
    NOT_OF_SPEECH,
    OF_EVENTS,
    OF_RECORDINGS,
    OF_SPEECH,
    applied,
    event_steps,
    given,
    map_after,
)
from deploytool.ir.events import EventStream
from deploytool.ir.speech import Mixture
from deploytool.recipe import DataSection

PROCEDURE: Final = 1
"""Version of how samples are made and split. Raise it with every code change that changes a sample."""
LEVELS: Final = 16
IMAGE_DURATION_MS: Final = 100.0
"""The default conversion of images to events."""
_SUBSET_SEED: Final = 1


@dataclass(frozen=True, eq=False)
class Promise:
    """The form of the samples of the set ``name``: maps of ``shape`` (C, H, W), and labels 0..``classes`` - 1.

    If it has ``values``, in ``unit``, samples have targets, and no labels. If it has a ``rate_hz``, samples are
    mixtures of voices, on maps (1, 1, N), and have no labels either.
    """

    name: str
    shape: Shape
    classes: int
    values: tuple[str, ...] = ()
    unit: str = ""
    rate_hz: int = 0

    @property
    def kind(self) -> Literal["classify", "regress", "separate"]:
        """The kind of task that its samples are for."""
        if self.rate_hz:
            return "separate"
        return "regress" if self.values else "classify"

    def require(self, shape: Shape) -> None:
        """Raises RecipeError unless samples are on maps of ``shape``, the input of the network that takes them."""
        if shape != self.shape:
            need = f"{list(self.shape)}, the map of the set {self.name} with these [data] settings"
            ways: list[dict[str, object]] = [{"network.input": list(self.shape)}]
            if self.name in EVENT_SETS and shape[0] == self.shape[0]:
                ways.append({"data.size": list(shape[1:])})
            raise RecipeError("network.input", f"found {list(shape)}", need, ways=ways)

    def require_outputs(self, count: int, last: str = "") -> None:
        """Raises RecipeError unless ``count`` output neurons are enough to tell the classes apart.

        ``last`` is the key of their number, such as ``network.layers.7.out``.
        """
        if count < self.classes:
            need = f"at least {self.classes}, one for each class of the set {self.name}"
            ways = [{"network.classes": self.classes}, *([{last: self.classes}] if last else [])]
            raise RecipeError("network.layers", f"the last gives {count} outputs", need, ways=ways)


@dataclass(frozen=True, eq=False)
class Dataset(Promise, Generic[Made]):
    """A data set as a recipe asks for it.

    ``train`` is for training the weights, ``validation`` for choosing the model, ``test`` for the verdict. They
    share no sample.
    """

    train: Samples[Made] = field(kw_only=True)
    validation: Samples[Made] = field(kw_only=True)
    test: Samples[Made] = field(kw_only=True)
    names: tuple[str, ...] = ()
    """The names of the classes; none if they are numbers."""
    notes: tuple[str, ...] = ()
    """What of the data is not used, in sentences."""


def promised(spec: DataSection) -> Promise:
    """The form of the samples that ``spec`` names, without reading them; ``classes`` is 0 if folders determine it.

    Raises RecipeError for an unknown set, or for keys that do not apply to it, and as `Source.open` does for a set of
    which only the files say the form.
    """
    source = _source(spec)
    if spec.set in SPEECH_SETS:
        return Promise(spec.set, (1, 1, speech.length_of(spec)), 0, rate_hz=speech.rate_of(spec))
    if spec.set not in EVENT_SETS:
        return Promise(spec.set, (source.shape[0], *(spec.size or source.shape[1:])), source.classes)
    if source.opens is None:
        shape = map_after(event_steps(spec, source.shape), source.shape)
        return Promise(spec.set, shape, source.classes, source.values, source.unit)
    found = source.open(spec)
    return Promise(spec.set, map_after(event_steps(spec, found.shape), found.shape), len(found.names), found.values)


def map_of(spec: DataSection) -> Shape | None:
    """The map of the samples that ``spec`` names, None if only their files say it."""
    return promised(spec).shape if _source(spec).opens is None and 0 not in promised(spec).shape else None


def require_there(spec: DataSection) -> None:
    """Raises RecipeError or InputError if the data that ``spec`` names are not on this machine. Reads no sample."""
    if (locate := _source(spec).locate) is not None:
        locate(spec.root)


def obtain(spec: DataSection, tick: Tick) -> bool:
    """Downloads the data that ``spec`` names if it asks for that and they are not there. Whether it did.

    Raises RecipeError for a set that cannot be downloaded, InputError if the download fails.
    """
    if not spec.download:
        return False
    if spec.set not in DOWNLOADS:
        need = f"none for the set {spec.set}; one of {', '.join(DOWNLOADS)}"
        raise RecipeError("data.download", "found true", need)
    if not _is_missing(spec):
        return False
    download(spec.set, place_of(spec.root, spec.set), partial(_is_missing, spec), tick)
    require_there(spec)
    return True


def _is_missing(spec: DataSection) -> bool:
    try:
        require_there(spec)
    except DeployError:
        return True
    return False


def load(spec: DataSection, seed: int) -> Dataset[EventStream] | Dataset[Image] | Dataset[Mixture]:
    """The data set that ``spec`` names, as images with direct coding, as mixtures of voices, and as events otherwise.

    ``seed`` only determines which training samples are for validation, if the set has no samples for that.
    Raises RecipeError for an unknown set, keys that do not apply to it or more samples than there are, InputError for
    data that cannot be read.
    """
    source = _source(spec)
    found = source.open(spec)
    parts = found.parts(PARTS)
    training = _subset(parts["train"], spec.train_samples, "data.train_samples")
    test = _subset(parts["test"], spec.test_samples, "data.test_samples")
    train, validation = training, parts.get("validation")
    if validation is None:
        train, validation = map(training.take, hold_out(training.labels, spec.validation, seed, training.groups))
    if not len(train) or not len(validation):
        raise InputError(
            f"data.set {spec.set}",
            f"{len(validation)} of {len(training)} training samples are for validation",
            "at least one to train on and one to choose the model",
            "Use more samples, or change data.validation.",
        )
    names = found.names
    classes = source.classes or len(names)
    rate_hz = speech.rate_of(spec) if spec.set in SPEECH_SETS else 0
    if not classes and not found.values and not rate_hz:
        classes = int(max(training.labels.max(), test.labels.max())) + 1
    step, shape = _step(spec, found.shape)
    train, validation, test = (part.map(step) for part in (train, validation, test))
    form = spec.set, shape, classes, found.values, source.unit, rate_hz
    return Dataset(*form, train=train, validation=validation, test=test, names=names, notes=found.notes)


def class_names(spec: DataSection) -> tuple[str, ...]:
    """The names of the classes of the data set that ``spec`` names; none if they are numbers. Raises as `load` does."""
    return _source(spec).open(spec).names


def load_events(spec: DataSection, seed: int) -> Dataset[EventStream]:
    """The data set that ``spec`` names, as events. Raises RecipeError for direct coding, and what `load` raises."""
    _require_events(spec)
    return cast("Dataset[EventStream]", load(spec, seed))


def load_tests(spec: DataSection) -> Samples[EventStream]:
    """The test samples of `load_events`, without reading others. Raises as it does."""
    _require_events(spec)
    found = _source(spec).open(spec)
    wanted: tuple[Part, ...] = ("test",)
    test = _subset(found.parts(wanted)["test"], spec.test_samples, "data.test_samples")
    step, _ = _step(spec, found.shape)
    return cast("Samples[EventStream]", test.map(step))


def _require_events(spec: DataSection) -> None:
    if spec.coding == "direct":
        raise RecipeError("data.coding", "found 'direct'", "count or rate: only events reach a simulator or a chip")
    if spec.set in SPEECH_SETS:
        raise RecipeError("data.set", f"found {spec.set!r}", "a set of events or images: speech does not become events")


def fingerprint(spec: DataSection, seed: int) -> str:
    """The fingerprint of the samples of ``load(spec, seed)``, independent of their location. Raises as `load` does."""
    content = _source(spec).open(spec).fingerprint
    return digest((PROCEDURE, spec.model_dump(exclude={"root"}), seed, content))


def _source(spec: DataSection) -> Source[Any]:
    """The source of ``spec``. Raises RecipeError with all keys that do not apply to it."""
    if problems := list(key_problems(spec)):
        raise RecipeError.together(problems)
    return DATASETS[spec.set]


def key_problems(spec: DataSection) -> Iterator[RecipeError]:
    """One error for each key that does not apply to the kind of the set."""
    if spec.set in SPEECH_SETS:
        yield from _speech_problems(spec)
        return
    for key, value in given(spec, OF_SPEECH):
        yield RecipeError(f"data.{key}", f"found {value}", f"none for the set {spec.set}, which holds no speech")
    of_images = spec.set in IMAGE_SETS
    kind = f"the set {spec.set}, which holds {'images' if of_images else 'events'}"
    codings = ("count", "rate", "direct") if of_images else ("events",)
    if spec.coding not in (None, *codings):
        yield RecipeError("data.coding", f"found {spec.coding!r}", f"{', '.join(codings)} for {kind}")
    if spec.levels is not None and (not of_images or spec.coding == "direct"):
        yield RecipeError("data.levels", f"found {spec.levels}", "none without count or rate coding of images")
    if of_images:
        for key, value in given(spec, OF_EVENTS):
            yield RecipeError(f"data.{key}", f"found {value}", f"none for {kind}")
    for key, value in given(spec, () if spec.set == events.NAME else OF_RECORDINGS):
        yield RecipeError(f"data.{key}", f"found {value}", f"none for {kind}, whose files and split are known")
    if of_images and spec.set != "imagefolder" and spec.size is not None:
        yield RecipeError("data.size", f"found {list(spec.size)}", f"none for {kind} of one size")
    if spec.set == "imagefolder" and spec.size is None:
        yield RecipeError("data.size", "missing for the set imagefolder", "[H, W], to which its images are scaled")
    if spec.coding == "direct" and spec.duration_ms is not None:
        yield RecipeError(
            "data.duration_ms", f"found {spec.duration_ms:g}", "none with direct coding, which has no time"
        )
    if spec.coding == "direct" and spec.bins != "time":
        yield RecipeError("data.bins", f"found {spec.bins!r}", "none with direct coding, which has no events")


def _speech_problems(spec: DataSection) -> Iterator[RecipeError]:
    """One error for each key that does not apply to speech."""
    for key, value in given(spec, NOT_OF_SPEECH):
        yield RecipeError(f"data.{key}", f"found {value}", f"none for the set {spec.set}, which holds speech")


def _step(spec: DataSection, shape: Shape) -> tuple[Callable[[Any], Any], Shape]:
    """(what becomes of every sample on a map of ``shape`` when it is made, the map of the result)."""
    if spec.set in SPEECH_SETS:
        return lambda mixture: mixture, shape
    if spec.set in EVENT_SETS:
        steps = event_steps(spec, shape)
        return partial(applied, steps), map_after(steps, shape)
    images: list[Callable[[Any], Any]] = [] if spec.size is None else [Fit(*spec.size)]
    if spec.coding != "direct":
        duration_us = round((spec.duration_ms or IMAGE_DURATION_MS) * 1000)
        images.append((RateCoding if spec.coding == "rate" else CountCoding)(spec.levels or LEVELS, duration_us))
    made: Shape = (shape[0], *(spec.size or shape[1:]))
    return lambda image: reduce(lambda value, step: step(value), images, image), made


def _subset(samples: Samples[Any], count: int | None, key: str) -> Samples[Any]:
    if count is None:
        return samples
    if count > len(samples):
        raise RecipeError(key, f"found {count}", f"at most {len(samples)}, the number of samples")
    return samples.take(even_subset(samples.labels, count, _SUBSET_SEED))
