"""The data sets by name. A new one is a file beside this one with `parts` and `fingerprint`, and a line in DATASETS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from deploytool.data import digits, nmnist
from deploytool.data.samples import Samples, even_subset, hold_out
from deploytool.data.transforms import Denoise
from deploytool.digest import digest
from deploytool.errors import InputError, RecipeError
from deploytool.events import Shape
from deploytool.recipe import DataSection

PROCEDURE: Final = 1
"""Version of how samples are made and split: to be raised with every change of code that changes any sample."""
_SUBSET_SEED: Final = 1


@dataclass(frozen=True)
class Source:
    """Where a data set comes from: ``parts(root)`` is its official (training, test) samples, ``fingerprint(root)``
    names their content without loading it all; ``says`` describes it in one line."""

    says: str
    shape: Shape
    classes: int
    parts: Callable[[str | None], tuple[Samples, Samples]]
    fingerprint: Callable[[str | None], str]


DATASETS: Final[Mapping[str, Source]] = {
    "digits": Source(
        "scikit-learn's 8x8 handwritten digits before a simulated event camera, 1,797 samples; needs no download",
        digits.SHAPE, digits.CLASSES, digits.parts, digits.fingerprint,
    ),
    "nmnist": Source(
        "N-MNIST, handwritten digits before a moving event camera, 70,000 samples or a part of them",
        nmnist.SHAPE, nmnist.CLASSES, nmnist.parts, nmnist.fingerprint,
    ),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set as a recipe asks for it: samples on maps of ``shape`` (C, H, W), labels 0..``classes`` - 1.

    ``train`` finds the weights, ``validation`` chooses the model, ``test`` is for the verdict; no two share a sample.
    """

    name: str
    shape: Shape
    classes: int
    train: Samples
    validation: Samples
    test: Samples


def load(spec: DataSection, seed: int) -> Dataset:
    """The data set that ``spec`` names; ``seed`` decides which training samples are for validation, and nothing else.

    Raises RecipeError for an unknown set or more samples than there are, InputError for data that cannot be read.
    """
    source = _source(spec)
    training, test = source.parts(spec.root)
    training = _subset(training, spec.train_samples, "data.train_samples")
    test = _subset(test, spec.test_samples, "data.test_samples")
    train, validation = map(training.take, hold_out(training.labels, spec.validation, seed))
    if not len(train) or not len(validation):
        raise InputError(
            f"data.set {spec.set}", f"of {len(training)} training samples {len(validation)} are for validation",
            "at least one to train on and one to choose the model", "Use more samples, or change data.validation.",
        )  # fmt: skip
    if spec.denoise_ms is not None:
        denoise = Denoise(spec.denoise_ms)
        train, validation, test = (part.map(denoise) for part in (train, validation, test))
    return Dataset(spec.set, source.shape, source.classes, train, validation, test)


def fingerprint(spec: DataSection, seed: int) -> str:
    """What names the samples that ``load(spec, seed)`` returns, the same wherever they lie. Raises as `load` does."""
    content = _source(spec).fingerprint(spec.root)
    return digest((PROCEDURE, spec.model_dump(exclude={"root"}), seed, content))


def _source(spec: DataSection) -> Source:
    if spec.set not in DATASETS:
        raise RecipeError("data.set", f"found {spec.set!r}", f"one of {', '.join(DATASETS)}")
    return DATASETS[spec.set]


def _subset(samples: Samples, count: int | None, key: str) -> Samples:
    if count is None:
        return samples
    if count > len(samples):
        raise RecipeError(key, f"found {count}", f"at most {len(samples)}, which is all there are")
    return samples.take(even_subset(samples.labels, count, _SUBSET_SEED))
