"""The shipped models by name. ``make models`` trains and measures them again, and rewrites their files.

    deploytool/zoo/<name>/model-<first 12 of digest>/     the trained model, an artifact as in a store
    deploytool/zoo/<name>/figures.json                    what was measured with it: `deploytool.zoo.figures`

Wherever a command takes a network, ``zoo:NAME`` names one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from deploytool.base.errors import ArtifactError
from deploytool.base.files import listed

ROOT: Final = Path(__file__).parent
"""The folder of the shipped models."""
PREFIX: Final = "zoo:"
BYTES_MAX: Final = 1_000_000
"""The largest size of a shipped model, all its files together."""


@dataclass(frozen=True)
class DataSource:
    """The data that a model was trained on, and ``test``, those that it was measured on, which training did not see.

    ``licence`` and ``attribution`` are those of the data.
    """

    says: str
    test: str
    licence: str
    attribution: str


DIGITS: Final = DataSource(
    "scikit-learn's handwritten digits before a simulated event camera",
    "359 of its 1,797 samples, held out",
    "CC BY 4.0",
    "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998; "
    "test part, as distributed by scikit-learn",
)
NMNIST: Final = DataSource(
    "a part of N-MNIST: digits of MNIST on a screen before a moving event camera",
    "500 samples held out of the official training part; the official test part was not used",
    "CC BY-SA 4.0",
    "G. Orchard, A. Jayawant, G. K. Cohen and N. Thakor, Converting Static Image Datasets to Spiking Neuromorphic "
    "Datasets Using Saccades, Frontiers in Neuroscience 9:437, 2015",
)


@dataclass(frozen=True)
class ShippedModel:
    """A trained model that ships: its ``recipe``, and what it was trained on.

    ``options`` are what its command line needs besides the recipe. It was trained with ``threads`` threads of torch;
    another number adds in another order, and trains other weights.
    """

    says: str
    recipe: str
    data: DataSource
    threads: int
    options: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command line that trains and measures it."""
        return " ".join([f"OMP_NUM_THREADS={self.threads} deploytool pipeline {self.recipe}", *self.options])


MODELS: Final[Mapping[str, ShippedModel]] = MappingProxyType(
    {
        "digits": ShippedModel("two conv layers, one linear layer", "recipes/digits.toml", DIGITS, 2),
        "nmnist": ShippedModel(
            "three conv layers, one linear layer; trained on events",
            "recipes/nmnist.toml",
            NMNIST,
            2,
            ("--set data.root=FOLDER",),
        ),
        "ptl-digits": ShippedModel(
            "two conv layers, one linear layer; progressive tandem learning", "recipes/ptl-digits.toml", DIGITS, 2
        ),
    }
)


def is_shipped(reference: str) -> bool:
    """Whether ``reference`` has the form of a shipped model's name, such as zoo:digits."""
    return reference.startswith(PREFIX)


def name_of(reference: str) -> str:
    """The name in ``reference``, such as digits in zoo:digits. Raises ArtifactError if no such model ships."""
    name = reference.removeprefix(PREFIX)
    if name not in MODELS:
        known = ", ".join(PREFIX + each for each in MODELS)
        raise ArtifactError(reference, "no such model ships", known, "deploytool show models lists them.")
    return name


def model_folder(name: str) -> Path:
    """The folder of the trained model called ``name``. Raises ArtifactError if this installation lacks it."""
    found = [path for path in listed(ROOT / name) if path.name.startswith("model-")]
    if len(found) != 1:
        where, todo = str(ROOT / name), "Install deploytool again."
        raise ArtifactError(where, f"{len(found)} models", "the one model that ships", todo)
    return found[0]
