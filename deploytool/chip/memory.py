"""What a layer takes of a core's memories, and which cores can hold it.

A core's words are addressed by fields of whole bits, so that with bits(n) = ceil(log2 n)

    kernel bits = bits(c_in) + bits(c_out) + bits(kh kw)        neuron bits = bits(c_out) + bits(h) + bits(w)

and 17 output features cost as much as 32. The vendor's validator prints the words in another form,

    kernel words = c_in 2^(bits(kh kw) + bits(c_out))           neuron words = c_out 2^(bits(h) + bits(w))

which accepts the same layers, because memories are powers of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from deploytool.base.arrays import Pair, Shape
from deploytool.chip.chips import Chip, Core, address_bits


class Sizes(Protocol):
    """The sizes of a layer that decide what it takes: maps (C, H, W) before and after, (KH, KW), a bias or None."""

    @property
    def in_shape(self) -> Shape: ...
    @property
    def out_shape(self) -> Shape: ...
    @property
    def kernel(self) -> Pair: ...
    @property
    def bias(self) -> Any: ...


@dataclass(frozen=True)
class Memory:
    """Address bits and words of a layer; ``bias_words`` is 0 without bias."""

    kernel_bits: int
    neuron_bits: int
    kernel_words: int
    neuron_words: int
    bias_words: int

    def fits(self, core: Core) -> bool:
        return (
            self.kernel_bits <= core.kernel_bits
            and self.neuron_bits <= core.neuron_bits
            and self.bias_words <= core.bias_words
        )


def memory_of(layer: Sizes, features: int | None = None) -> Memory:
    """The memory ``layer`` takes, or as many ``features`` of it, every input feature connected to every one of them."""
    c_in, (c_out, height, width) = layer.in_shape[0], layer.out_shape
    c_out = c_out if features is None else features
    kernel = address_bits(layer.kernel[0] * layer.kernel[1])
    area = address_bits(height) + address_bits(width)
    return Memory(
        kernel_bits=address_bits(c_in) + address_bits(c_out) + kernel,
        neuron_bits=address_bits(c_out) + area,
        kernel_words=c_in << (kernel + address_bits(c_out)),
        neuron_words=c_out << area,
        bias_words=0 if layer.bias is None else c_out,
    )


def cores_for(layer: Sizes, chip: Chip, features: int | None = None) -> tuple[int, ...]:
    """Numbers of the cores of ``chip`` that can hold ``layer``, or as many ``features`` of it."""
    memory = memory_of(layer, features)
    return tuple(number for number, core in enumerate(chip.cores) if memory.fits(core))
