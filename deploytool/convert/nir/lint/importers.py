"""The frameworks that read NIR, and what each does with node types that it does not know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

Outcome: TypeAlias = Literal["keep", "alter", "drop", "refuse"]
ORDER: Final[tuple[Outcome, ...]] = ("keep", "alter", "drop", "refuse")
"""From harmless to most severe."""


SINABS: Final = "sinabs/nir.py _import_sinabs_module"
SNNTORCH: Final = "snntorch/import_nir.py _nir_to_snntorch_module"
NORSE: Final = "norse/torch/utils/import_nir.py _import_norse_module"
JELLY: Final = "spikingjelly/activation_based/nir_exchange/from_nir.py"
NIRTORCH: Final = "nirtorch/nir_interpreter.py"
"""Where each framework imports a node."""


@dataclass(frozen=True)
class Importer:
    """The NIR import of a framework: the packages whose source was read, and the node types that it supports."""

    packages: str
    source: str
    knows: tuple[str, ...]
    unknown: Outcome
    """The outcome for other node types."""


IMPORTERS: Final[Mapping[str, Importer]] = MappingProxyType(
    {
        "sinabs": Importer(
            "sinabs 3.1.3, nirtorch 2.0.2, nir 1.0.4",
            SINABS,
            ("Input", "Output", "Affine", "Conv1d", "Conv2d", "LI", "IF", "LIF", "SumPool2d", "Flatten"),
            "drop",
        ),
        "snnTorch": Importer(
            "snntorch 1.0.0, nirtorch 2.6, nir 1.0.8",
            SNNTORCH,
            (
                "Input",
                "Output",
                "Affine",
                "Linear",
                "Conv1d",
                "Conv2d",
                "Flatten",
                "AvgPool2d",
                "SumPool2d",
                "IF",
                "LIF",
                "CubaLIF",
            ),
            "refuse",
        ),
        "Norse": Importer(
            "norse 1.1.0, nirtorch 2.6, nir 1.0.8",
            NORSE,
            ("Input", "Output", "Affine", "Conv2d", "Flatten", "Linear", "IF", "CubaLIF", "LIF", "SumPool2d"),
            "drop",
        ),
        "SpikingJelly": Importer(
            "spikingjelly 2.0.0, nirtorch 2.6, nir 1.0.8",
            JELLY,
            (
                "Input",
                "Output",
                "Affine",
                "Linear",
                "Conv1d",
                "Conv2d",
                "AvgPool2d",
                "SumPool2d",
                "Flatten",
                "IF",
                "LIF",
                "CubaLIF",
            ),
            "refuse",
        ),
        "nirtorch": Importer(
            "nirtorch 2.6, nir 1.0.8",
            f"{NIRTORCH} DEFAULT_MAP",
            ("Input", "Output", "Affine", "AvgPool2d", "Conv1d", "Conv2d", "Flatten", "Linear", "SumPool2d"),
            "refuse",
        ),
    }
)

EFFECT_OF_UNKNOWN: Final[Mapping[Outcome, str]] = MappingProxyType(
    {
        "drop": "not imported: the chain breaks here and the nodes before or after it are silently skipped; "
        "a second such node raises KeyError",
        "refuse": "ValueError, unknown node type",
    }
)
