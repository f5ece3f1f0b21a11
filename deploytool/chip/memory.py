"""Memory that a layer needs on a core, and the cores that can hold it.

A core addresses its words by fields of whole bits. With bits(n) = ceil(log2 n)

    kernel bits = bits(c_in) + bits(c_out) + bits(kh kw)        neuron bits = bits(c_out) + bits(h) + bits(w)

so 17 output features need as much memory as 32. The vendor's validator prints the words in another form,

    kernel words = c_in 2^(bits(kh kw) + bits(c_out))           neuron words = c_out 2^(bits(h) + bits(w))

which accepts the same layers, because memory sizes are powers of two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from deploytool.base.arrays import Pair, Shape
from deploytool.chip.chips import Chip, Core, address_bits


@dataclass(frozen=True)
class Memory:
    """Address bits and words that a layer needs; ``bias_words`` is 0 without bias."""

    kernel_bits: int
    neuron_bits: int
    kernel_words: int
    neuron_words: int
    bias_words: int

    @property
    def words(self) -> str:
        """The words as text: "4,608 kernel and 16,384 neuron words"."""
        bias = f", {self.bias_words:,} bias" if self.bias_words else ""
        return f"{self.kernel_words:,} kernel{bias} and {self.neuron_words:,} neuron words"

    def fits(self, core: Core) -> bool:
        return (
            self.kernel_bits <= core.kernel_bits
            and self.neuron_bits <= core.neuron_bits
            and self.bias_words <= core.bias_words
        )


def memory_of(features_in: int, out_shape: Shape, kernel: Pair, biased: bool) -> Memory:
    """The memory for a layer from ``features_in`` to a map of ``out_shape`` (C, H, W) with a ``kernel`` (KH, KW).

    Every input feature is connected to every output feature.
    """
    features, height, width = out_shape
    positions = address_bits(kernel[0] * kernel[1])
    area = address_bits(height) + address_bits(width)
    return Memory(
        kernel_bits=address_bits(features_in) + address_bits(features) + positions,
        neuron_bits=address_bits(features) + area,
        kernel_words=features_in << (positions + address_bits(features)),
        neuron_words=features << area,
        bias_words=features if biased else 0,
    )


def neuron_address(shape: Shape, feature: int, y: int, x: int) -> int:
    """The address in a core's neuron memory of the neuron (``feature``, ``y``, ``x``) of a map of ``shape`` (C, H, W).

    It is y | x | feature, each of whole bits. sinabs 3.1.3 (`calculate_neuron_address`) shifts y by the bits of y where
    the bits of x are meant; the two agree on maps whose height and width have equally many bits.
    """
    features, _, width = shape
    return ((y << address_bits(width)) | x) << address_bits(features) | feature


def cores_for(memory: Memory, chip: Chip) -> tuple[int, ...]:
    """Numbers of the cores of ``chip`` that can hold a layer that needs ``memory``."""
    return tuple(number for number, core in enumerate(chip.cores) if memory.fits(core))


def memories_text(chip: Chip, cores: Iterable[int]) -> str:
    """The memories of ``cores``, grouped by size: "kernel + neuron words 16,384 + 65,536 on cores 0, 1; ..."."""
    alike: dict[str, list[str]] = {}
    for number in cores:
        core = chip.cores[number]
        alike.setdefault(f"{core.kernel_words:,} + {core.neuron_words:,}", []).append(str(number))
    groups = (f"{size} on core{'s' * (len(group) > 1)} {', '.join(group)}" for size, group in alike.items())
    return f"kernel + neuron words {'; '.join(groups)}"
