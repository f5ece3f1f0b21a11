"""The chips: every number that the rules, the compiler and the emulator need, with its source.

Sources: "lib" was observed in the vendor's library (samna 0.7.1), "sinabs" was read or run in sinabs 3.1.3,
"doc" is the vendor's documentation, "guess" is inferred and unconfirmed on silicon. We measured none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from deploytool.base.errors import FitError, UsageError
from deploytool.chip.integers import IntegerFormat


@dataclass(frozen=True)
class Core:
    """One convolution core: words of kernel (8 bit), neuron (16 bit) and bias (16 bit) memory."""

    kernel_words: int
    neuron_words: int
    bias_words: int
    parallel_lanes: bool = False
    """The core computes in parallel lanes. Throughput is higher, which suits a first layer; the order of events and the
    leak are less certain."""

    @property
    def kernel_bits(self) -> int:
        return address_bits(self.kernel_words)

    @property
    def neuron_bits(self) -> int:
        return address_bits(self.neuron_words)


@dataclass(frozen=True)
class Readout:
    """The readout layer. The last core sends its spikes to ``destination``.

    ``layouts`` are the shapes (features, rows, columns) that its neurons can have, in the order in which samna numbers
    them. In the last one, of single neurons, feature ``spacing`` i is class i + 1.
    """

    classes: int
    destination: int
    spacing: int
    layouts: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Chip:
    """A processor of the DynapCNN family. ``sources`` gives the origin of every other field."""

    name: str
    title: str
    cores: tuple[Core, ...]
    integers: IntegerFormat
    kernel_max: int
    strides: tuple[int, ...]
    padding_max: int
    input_map_max: int
    output_map_max: int
    features_max: int
    poolings: tuple[int, ...]
    fan_out_max: int
    feature_shift_max: int
    dvs_size: int
    dvs_poolings: tuple[int, ...]
    dvs_features: int
    slow_clock_hz: tuple[int, int]
    """Lowest and highest frequency of the one clock for leak, sensor filter and readout."""
    decimations: tuple[int, ...]
    """Intervals n of a core's output decimator, which lets one in n spikes pass; empty if none is documented."""
    balancers: bool
    """Whether each core has a congestion balancer at its input, which drops events while the core is busy."""
    readout: Readout | None
    """None for a chip whose readout field names are unknown."""
    sources: Mapping[str, str]

    def integers_of(self, weight_bits: int | None) -> IntegerFormat:
        """The integer format of a core for weights of ``weight_bits`` bits (None: the chip's own width).

        Raises FitError if ``weight_bits`` is more than the chip has.
        """
        if weight_bits is None:
            return self.integers
        if weight_bits > self.integers.weight_bits:
            found = f"weights of {weight_bits} bits"
            raise FitError(self.name, found, f"at most {self.integers.weight_bits}", "Train it with fewer bits.")
        return replace(self.integers, weight_bits=weight_bits)


def address_bits(n: int) -> int:
    """The number of address bits for n values: ceil(log2 n), and 0 for one value."""
    return (n - 1).bit_length()


_KI: Final = 1024
_CORES: Final = (
    *[Core(16 * _KI, 64 * _KI, _KI, parallel_lanes=True)] * 2,
    Core(16 * _KI, 64 * _KI, _KI),
    *[Core(32 * _KI, 32 * _KI, _KI)] * 2,
    *[Core(64 * _KI, 16 * _KI, _KI)] * 2,
    *[Core(16 * _KI, 16 * _KI, _KI)] * 2,
)
_SOURCES: Final = MappingProxyType(
    {
        "name": "doc",
        "title": "doc",
        "cores": "lib, sinabs, doc; parallel lanes and the leak there: doc, unconfirmed",
        "integers": "lib; threshold at most 32640: guess (V + w stays below 32768); floor at most -1: doc (0 is a bug)",
        "kernel_max": "lib, doc",
        "strides": "lib, doc",
        "padding_max": "lib, doc",
        "input_map_max": "lib, doc",
        "output_map_max": "lib, doc",
        "features_max": "lib",
        "poolings": "lib, doc (0.7.1 also takes 8; the Speck2e documents do not)",
        "fan_out_max": "lib",
        "feature_shift_max": "lib",
        "dvs_size": "lib, doc",
        "dvs_poolings": "lib, doc",
        "dvs_features": "lib, doc (one per polarity)",
        "slow_clock_hz": "doc",
        "decimations": "doc (samna 0.48 and later)",
        "balancers": "doc (input_congestion_balancer_enable)",
        "readout": "doc (the layouts: Speck user guide), sinabs (the spacing is an erratum of Speck2e and Speck2f)",
    }
)


def _family_member(name: str, title: str, readout: Readout | None) -> Chip:
    return Chip(
        name=name,
        title=title,
        cores=_CORES,
        integers=IntegerFormat(weight_bits=8, state_bits=16, threshold_max=32640, floor_max=-1),
        kernel_max=16,
        strides=(1, 2, 4, 8),
        padding_max=7,
        input_map_max=128,
        output_map_max=64,
        features_max=1024,
        poolings=(1, 2, 4),
        fan_out_max=2,
        feature_shift_max=1023,
        dvs_size=128,
        dvs_poolings=(1, 2, 4),
        dvs_features=2,
        slow_clock_hz=(10, 10_000),
        decimations=_DECIMATIONS if readout else (),
        balancers=readout is not None,
        readout=readout,
        sources=_SOURCES,
    )


_DECIMATIONS: Final = (2, 4, 8, 16, 32, 64, 128, 256, 512)
_SPECK_READOUT: Final = Readout(
    classes=15, destination=12, spacing=4, layouts=((4, 2, 2), (2, 4, 2), (1, 4, 4), (16, 1, 1))
)
CHIPS: Final[Mapping[str, Chip]] = MappingProxyType(
    {
        "speck2e": _family_member("speck2e", "Speck2e", _SPECK_READOUT),
        "speck2f": _family_member("speck2f", "Speck2f", _SPECK_READOUT),
        "dynapcnn": _family_member("dynapcnn", "DynapCNN", None),
    }
)


def chip_names() -> tuple[str, ...]:
    """The names of all chips."""
    return tuple(CHIPS)


def chip_named(name: str) -> Chip:
    """The chip called ``name``. Raises UsageError with the list of known chips."""
    if name not in CHIPS:
        raise UsageError("chip", f"found {name!r}", f"one of {', '.join(CHIPS)}")
    return CHIPS[name]
