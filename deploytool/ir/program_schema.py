"""The schema of ``program.json``, and the table of the arrays that it refers to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from deploytool.base.arrays import Array, all_finite
from deploytool.base.errors import ArtifactError
from deploytool.base.typed import typed
from deploytool.chip.chips import chip_names
from deploytool.ir.program import SIMULATOR
from deploytool.ir.shapes import VALUES_MAX

NEED: Final = "a program that deploytool wrote"
NUMBER_MAX: Final = 1e30

Size: TypeAlias = Annotated[int, Field(ge=1, le=VALUES_MAX)]
Number: TypeAlias = Annotated[int, Field(ge=0, le=VALUES_MAX)]
Time: TypeAlias = Annotated[int, Field(ge=0, lt=2**53)]
Real: TypeAlias = Annotated[float, Field(ge=-NUMBER_MAX, le=NUMBER_MAX)]
Name: TypeAlias = Annotated[str, Field(min_length=1)]
Pair: TypeAlias = tuple[Size, Size]
Shape: TypeAlias = tuple[Size, Size, Size]


class _Fields(BaseModel):
    """A JSON object with these fields and no others."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class _Stored(_Fields):
    """An array of ``program.safetensors``."""

    array: str


class _Route(_Fields):
    to: Name
    pool: Pair = (1, 1)
    feature_shift: Number = 0
    synapses: Number = 0
    delay_us: Time | list[Time] = 0


class _Synapses(_Fields):
    weights: _Stored
    in_shape: Shape
    out_shape: Shape
    stride: Pair = (1, 1)
    padding: tuple[Number, Number] = (0, 0)
    dilation: Pair = (1, 1)
    groups: Size = 1


class _Leak(_Fields):
    tau_ms: Real | _Stored
    v_leak: Real | _Stored = 0.0
    tau_syn_ms: Real | _Stored | None = None


class _Neurons(_Fields):
    threshold: Real | _Stored
    floor: Real | None = None
    reset: Literal["subtract", "zero"] = "subtract"
    v_init: Real | _Stored = 0.0
    leak: _Leak | None = None
    v_reset: Real | _Stored = 0.0
    at_most_one: bool = True


class _Layer(_Fields):
    synapses: Annotated[list[_Synapses], Field(min_length=1)]
    neurons: _Neurons
    routes: list[_Route] = []
    bias: _Stored | None = None
    scale: Annotated[float, Field(gt=0, le=NUMBER_MAX)] = 1.0
    sources: list[Name] = []
    part_of: tuple[Name, Number] | None = None
    decimation: Size = 1
    balancer: Annotated[int, Field(ge=1, lt=2**53)] | None = None


class _Decoder(_Fields):
    values: list[Name]
    weights: _Stored
    offset: _Stored
    unit: str
    reads: Literal["rate", "potential"]
    window_us: Annotated[int, Field(ge=1, lt=2**53)] | None


class _Program(_Fields):
    """Everything of a program but its arrays; its layers are in the order of ``order``."""

    chip: Name
    arithmetic: Literal["float32", "int8/int16"]
    input_shape: Shape
    input_routes: list[_Route]
    outputs: Annotated[list[Name], Field(min_length=1)]
    graph_digest: str
    core_of: dict[Name, Number]
    slow_clock_hz: int | None
    decoder: _Decoder | None
    order: Annotated[list[Name], Field(min_length=1)]
    layers: dict[Name, _Layer]


@cache
def _adapter() -> TypeAdapter[_Program]:
    return TypeAdapter(_Program)


class Kind(NamedTuple):
    """What an array is: its ``axes``, and the ``kinds`` of numpy that its numbers may have."""

    axes: tuple[str, ...]
    kinds: str = "f"

    @property
    def need(self) -> str:
        """The kind in words."""
        numbers = "finite real numbers" if self.kinds == "f" else "finite numbers"
        return f"{numbers} of shape ({', '.join(self.axes)})"


_PER_NEURON: Final = Kind(("C", "H", "W"), "iuf")
ARRAYS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "synapses.weights": Kind(("O", "I/groups", "KH", "KW"), "if"),
        "bias": Kind(("O",), "if"),
        **dict.fromkeys(("threshold", "v_init", "v_reset", "tau_ms", "v_leak", "tau_syn_ms"), _PER_NEURON),
        "decoder.weights": Kind(("D", "K")),
        "decoder.offset": Kind(("D",)),
    }
)
"""{field: what its array is}. The rules of `deploytool.ir.spec` say which sizes and types agree."""


def check(described: Any, arrays: Mapping[str, Array], where: str) -> None:
    """Raises ArtifactError, naming file and field, unless ``described`` is ``program.json`` of the newest version.

    It refers to ``arrays``, each of which has the type and the axes of its field, and names layers that exist.
    """
    typed(described, where, _adapter(), NEED)
    if (chip := described["chip"]) not in (SIMULATOR, *chip_names()):
        raise ArtifactError(f"{where}: chip", f"found {chip!r}", f"{SIMULATOR} or one of {', '.join(chip_names())}")
    for place, name, kind in _references(described):
        _check_array(arrays, f"{where}: {place}", name, kind)
    layers = described["layers"].keys()
    if sorted(described["order"]) != sorted(layers):
        raise ArtifactError(f"{where}: order", "other names than those of the layers", "each layer once")
    parts = {layer["part_of"][0] for layer in described["layers"].values() if layer.get("part_of")}
    targets = [("input_routes", [route["to"] for route in described["input_routes"]], layers)]
    targets += [("outputs", described["outputs"], layers | parts), ("core_of", list(described["core_of"]), layers)]
    for field, names, known in targets:
        if unknown := [name for name in names if name not in known]:
            raise ArtifactError(f"{where}: {field}", f"found {unknown[0]!r}", "names of layers of the program")


def _references(described: Any) -> Iterator[tuple[str, str, Kind]]:
    """(the field's place, the array's name, what it is) for each array that ``described`` refers to."""
    decoder = described["decoder"] or {}
    for field in ("weights", "offset"):
        if field in decoder:
            yield f"decoder.{field}", decoder[field]["array"], ARRAYS[f"decoder.{field}"]
    for name, layer in described["layers"].items():
        at = f"layers.{name}"
        for number, synapses in enumerate(layer["synapses"]):
            yield f"{at}.synapses.{number}.weights", synapses["weights"]["array"], ARRAYS["synapses.weights"]
        neurons = layer["neurons"]
        fields = {**neurons, **(neurons.get("leak") or {}), "bias": layer.get("bias")}
        for field, value in fields.items():
            if field in ARRAYS and isinstance(value, dict):
                yield f"{at}.{field}", value["array"], ARRAYS[field]


def _check_array(arrays: Mapping[str, Array], where: str, name: str, kind: Kind) -> None:
    if name not in arrays:
        raise ArtifactError(where, f"no array {name!r}", "an array of program.safetensors")
    array = arrays[name]
    found = f"{array.dtype} of shape {array.shape}"
    if array.dtype.kind not in kind.kinds or array.ndim != len(kind.axes) or not array.size:
        raise ArtifactError(where, f"found {found}", kind.need)
    if array.dtype.kind == "f" and not all_finite(array):
        raise ArtifactError(where, f"found {found} that is not finite everywhere", kind.need)
