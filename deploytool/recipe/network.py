"""[network]: the input map and the layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema, model_validator

from deploytool.base.arrays import Pair
from deploytool.base.errors import RecipeError
from deploytool.base.nearest import did_you_mean
from deploytool.recipe.presets.preset import PresetSection
from deploytool.recipe.presets.table import PRESETS, expand
from deploytool.recipe.section import ConflictError, Section, Size

INPUT: Final = "input"


def _pair(least: int) -> Callable[[object], Pair]:
    """A reader of one integer, at least ``least``, for both axes, or of two (vertical, horizontal)."""

    def read(value: object) -> Pair:
        match value:
            case int() as both if type(both) is int and both >= least:
                return both, both
            case (int() as high, int() as wide) if {type(high), type(wide)} == {int} and min(high, wide) >= least:
                return high, wide
        raise ValueError(f"found {value!r}; need a whole number from {least}, or two, [vertical, horizontal]")

    return read


def _pair_schema(least: int) -> WithJsonSchema:
    """What `_pair` reads, as JSON schema."""
    number = {"type": "integer", "minimum": least}
    pair = {"type": "array", "prefixItems": [number, number], "minItems": 2, "maxItems": 2}
    return WithJsonSchema({"anyOf": [number, pair]})


PositivePair: TypeAlias = Annotated[Pair, BeforeValidator(_pair(1)), _pair_schema(1)]
Padding: TypeAlias = Annotated[Pair, BeforeValidator(_pair(0)), _pair_schema(0)]


class _Layer(Section):
    """The fields of every layer."""

    name: str | None = Field(
        None,
        description="Name in reports, errors and files. By default the kind and a number: `conv1`, `spike1`, `fc1`.",
    )
    source: str | None = Field(
        None,
        alias="from",
        description="The earlier layer, or `input`, that feeds this layer; by default the previous layer.",
    )


class _WeightLayer(_Layer):
    """The fields of every layer with weights."""

    out: int = Field(ge=1, description="Number of output features.")
    stage: bool = Field(
        False, description="Marks the first layer of a stage, for method `mtt` with `train.stages` set to `marks`."
    )
    direct: bool = Field(
        False,
        description="Takes the output of the weights before it, or their sum, without neurons in between; for a "
        "T-RevSNN only.",
    )
    shared: bool = Field(
        False,
        description="All time steps share the weights of this layer, where `train.trev.own` gives every step its own.",
    )


class ConvLayer(_WeightLayer):
    """A convolution without bias. A pair is one number for both axes, or [vertical, horizontal]."""

    type: Literal["conv"]
    kernel: PositivePair = Field(description="Size of the kernel.")
    stride: PositivePair = Field((1, 1), description="Stride: the step between two positions of the kernel.")
    padding: Padding = Field((0, 0), description="Rows and columns of zeros on each side of the input map.")
    dilation: PositivePair = Field(
        (1, 1), description="Dilation: the distance between two rows, or columns, of the kernel."
    )
    groups: int = Field(1, ge=1, description="Number of groups of features that are convolved separately.")


class LinearLayer(_WeightLayer):
    """A fully connected layer without bias. Its input must be flat."""

    type: Literal["linear"]


class BatchNormLayer(_Layer):
    """Batch norm between a conv or linear layer and its spike layer; folded into the weights after training."""

    type: Literal["batchnorm"]


class SpikeLayer(_Layer):
    """Integrate-and-fire neurons, with the threshold, floor and reset of [constraints]."""

    type: Literal["spike"]


class PoolLayer(_Layer):
    """The sum or the average over square windows that do not overlap."""

    type: Literal["sumpool", "avgpool"]
    kernel: int = Field(ge=1, description="Side of the window.")


class FlattenLayer(_Layer):
    """Turns a map (C, H, W) into a vector, for a linear layer."""

    type: Literal["flatten"]


class AddLayer(_Layer):
    """The sum of the layer before it, or of `from`, and of earlier layers: the end of a shortcut."""

    type: Literal["add"]
    other: tuple[str, ...] = Field(min_length=1, description="The earlier layers that are added.")


LayerSection: TypeAlias = Annotated[
    ConvLayer | LinearLayer | BatchNormLayer | SpikeLayer | PoolLayer | FlattenLayer | AddLayer,
    Field(discriminator="type"),
]
LAYER_TYPES: Final = {
    "conv": "conv",
    "linear": "fc",
    "batchnorm": "bn",
    "spike": "spike",
    "sumpool": "pool",
    "avgpool": "pool",
    "flatten": "flatten",
    "add": "add",
}
"""{type of a layer: the name prefix of its unnamed layers}."""


class NetworkSection(Section):
    """[network]: the input map and the layers. Each layer feeds the next one, unless that one says `from`.

    Spikes, and the input counts as spikes, may be pooled, flattened and added; they go into a conv or linear layer.
    The result may be normalised and added; it goes into a spike layer. The last layer is a spike layer. Otherwise its
    values are read as the membrane potentials of neurons that never fire, which is for training only.

    Instead of `layers`, `preset` names a known network. A recipe with the preset and one with its layers written out
    are the same recipe.
    """

    input: tuple[Size, Size, Size] = Field(description="Input map [C, H, W]: features, rows, columns.")
    layers: tuple[LayerSection, ...] = Field(
        min_length=1, description="The layers in order, each a table with its `type`."
    )

    @model_validator(mode="before")
    @classmethod
    def _presets_are_layers(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or "preset" not in values:
            return values
        if "layers" in values:
            raise ConflictError([RecipeError("preset", "found both preset and layers", "only one")])
        return {"input": values.get("input"), "layers": expand(values)}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema of either form: with layers, or with a preset and its options."""
        schema = handler.resolve_ref_schema(handler(core))
        schema["properties"] |= PresetSection.model_json_schema()["properties"] | schema["properties"]
        schema["properties"]["preset"]["enum"] = list(PRESETS)
        schema["required"] = ["input"]
        schema["oneOf"] = [{"required": ["layers"]}, {"required": ["preset"]}]
        return schema

    def conflicts(self) -> Iterator[RecipeError]:
        names = [name for name, _ in self.named_layers()]
        places = {name: f"layers.{index}" for index, name in enumerate(names)}
        taken = [INPUT, "output", *names]
        if twice := sorted(name for name, times in Counter(taken).items() if times > 1):
            need = "unique names other than input and output"
            where = places.get(twice[0], "layers")
            yield RecipeError(where, f"two layers are named {twice[0]!r}", need)
            return
        problems = list(self._unconnected(places)) or list(self._out_of_turn(places))
        yield from problems

    def _unconnected(self, places: Mapping[str, str]) -> Iterator[RecipeError]:
        """Layers that take what is not there, and layers that nothing takes."""
        known = {INPUT: None}
        for name, sources in self.sources().items():
            for source in sources:
                if source not in known:
                    need = f"an earlier layer: {', '.join(known)}"
                    yield RecipeError(places[name], f"{name!r} takes {source!r}", need, did_you_mean(source, known))
            known[name] = None
        taken = {source for sources in self.sources().values() for source in sources}
        for name in [*known][1:-1]:
            if name not in taken:
                need = "every layer except the last to feed a later one"
                yield RecipeError(places[name], f"{name!r} feeds no layer", need)

    def _out_of_turn(self, places: Mapping[str, str]) -> Iterator[RecipeError]:
        """Layers that take spikes where they need sums of weights, and the reverse."""
        spikes = {INPUT: True}
        layers = dict(self.named_layers())
        for name, sources in self.sources().items():
            layer = layers[name]
            given = [spikes[source] for source in sources]
            if isinstance(layer, AddLayer):
                spikes[name] = all(given)
                continue
            direct = isinstance(layer, ConvLayer | LinearLayer) and layer.direct
            if given[0] == (direct or isinstance(layer, SpikeLayer | BatchNormLayer)):
                after = "the input" if sources[0] == INPUT else repr(sources[0])
                need = "a spike layer after every conv or linear layer, and nowhere else"
                need = "a conv, linear or add layer before it, because it is direct" if direct else need
                yield RecipeError(places[name], f"{name!r} ({layer.type}) comes after {after}", need)
            spikes[name] = not isinstance(layer, ConvLayer | LinearLayer | BatchNormLayer)
        if not self.ends_in_spikes and spikes[self.named_layers()[-1][0]]:
            last = f"layers.{len(layers) - 1}"
            yield RecipeError(last, "the last layer is not a spike layer", "one, because only spikes leave the chip")

    def named_layers(self) -> list[tuple[str, LayerSection]]:
        """(name, layer) in order; a layer without a name is named by its type and number: conv1, spike1, fc1."""
        seen: dict[str, int] = {}
        named = []
        for layer in self.layers:
            prefix = LAYER_TYPES[layer.type]
            seen[prefix] = seen.get(prefix, 0) + 1
            named.append((layer.name or f"{prefix}{seen[prefix]}", layer))
        return named

    def sources(self) -> dict[str, tuple[str, ...]]:
        """{layer: the layers (or "input") that feed it}, in order."""
        before, found = INPUT, {}
        for name, layer in self.named_layers():
            other = layer.other if isinstance(layer, AddLayer) else ()
            found[name] = (layer.source or before, *other)
            before = name
        return found

    def stage_marks(self) -> tuple[str, ...]:
        """The layers with weights that begin a stage of MTT, in order; empty if none is marked."""
        return tuple(
            name for name, layer in self.named_layers() if isinstance(layer, ConvLayer | LinearLayer) and layer.stage
        )

    def direct_layers(self) -> tuple[str, ...]:
        """The layers with weights that take the output of other weights, without neurons in between."""
        layers = self.named_layers()
        return tuple(name for name, layer in layers if isinstance(layer, ConvLayer | LinearLayer) and layer.direct)

    @property
    def ends_in_spikes(self) -> bool:
        """Whether the answer is the spikes of the last layer, rather than its membrane potential."""
        return isinstance(self.layers[-1], SpikeLayer)
