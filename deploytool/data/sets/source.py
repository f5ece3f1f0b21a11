"""What a data set is: where its samples come from, and what is known of them before any is read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from deploytool.base.arrays import Shape
from deploytool.data.images import Image
from deploytool.data.samples import Part, Samples
from deploytool.ir.events import EventStream
from deploytool.ir.speech import Mixture
from deploytool.recipe import DataSection

PARTS: Final[tuple[Part, ...]] = ("train", "validation", "test")

Made = TypeVar("Made", EventStream, Image, Mixture)
Sample = TypeVar("Sample", covariant=True)


@dataclass(frozen=True)
class Source(Generic[Made]):
    """Where a data set comes from: ``parts(root)`` is its official (training, test) samples, ``fingerprint(root)``
    names their content without loading it all; ``says`` describes it in one line.

    ``shape`` (C, H, W) has 0 for H and W if images differ in size; ``classes`` is 0 if the folders determine it.
    A set with ``values``, in ``unit``, has targets instead of classes.
    ``names(root)`` are the names of the classes, none if they are numbers. ``opens(section)`` is for a set whose
    samples depend on more than its root. ``locate(root)`` raises if the set is not in ``root``, None if it is nowhere
    on disk.
    """

    says: str
    shape: Shape
    classes: int
    parts: Callable[[str | None], tuple[Samples[Made], Samples[Made]]]
    fingerprint: Callable[[str | None], str]
    names: Callable[[str | None], tuple[str, ...]] = lambda _: ()
    opens: Callable[[DataSection], Opened[Made]] | None = None
    values: tuple[str, ...] = ()
    unit: str = ""
    locate: Callable[[str | None], object] | None = None

    def open(self, spec: DataSection) -> Opened[Made]:
        """The set as ``spec`` asks for it. Raises RecipeError and InputError for data that are not there."""
        return _AtRoot(self, spec.root) if self.opens is None else self.opens(spec)


class Opened(Protocol[Sample]):
    """A data set that was found: what is known of it before its samples are read."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes, none if they are numbers."""
        ...

    @property
    def shape(self) -> Shape:
        """The map (C, H, W) of the samples before all steps."""
        ...

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the content."""
        ...

    @property
    def values(self) -> tuple[str, ...]:
        """The names of the values that are targets, none if samples have classes."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the data is not used, in sentences."""
        ...

    def parts(self, wanted: Collection[Part]) -> Mapping[Part, Samples[Sample]]:
        """The samples, at least of the ``wanted`` parts that there are."""
        ...


@dataclass(frozen=True)
class _AtRoot(Generic[Made]):
    """A data set of which nothing but the ``root`` varies."""

    source: Source[Made]
    root: str | None

    @property
    def names(self) -> tuple[str, ...]:
        return self.source.names(self.root)

    @property
    def shape(self) -> Shape:
        return self.source.shape

    @property
    def fingerprint(self) -> str:
        return self.source.fingerprint(self.root)

    @property
    def values(self) -> tuple[str, ...]:
        return self.source.values

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    def parts(self, _: Collection[Part]) -> Mapping[Part, Samples[Made]]:
        train, test = self.source.parts(self.root)
        return {"train": train, "test": test}
