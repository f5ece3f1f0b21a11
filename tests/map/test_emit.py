"""The configuration: its schema, the sensor's layer, the readout, and what it says is unknown."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from typing import Any

import numpy as np
import pytest
from helpers.layers import changed, make_layer
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from deploytool.base.errors import DeployError, FitError, InputError, UnsupportedError
from deploytool.chip.chips import CHIPS
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program, Route
from deploytool.ir.spec.verify import check_rules
from deploytool.map.emit import configuration, described
from deploytool.map.readout import BY_FEATURE, as_configured, class_spacing, layout_numbers, widen
from deploytool.recipe import DvsSection, ReadoutSection

CHIP = CHIPS["speck2e"]
SCHEMA = json.loads(resources.files("deploytool.map").joinpath("configuration.schema.json").read_text("utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)


def classifier(
    classes: int = 3,
    into: tuple[int, int, int] = (2, 8, 8),
    pool: tuple[int, int] = (1, 1),
    core: int = 2,
    bias: np.ndarray | None = None,
) -> Program:
    """One layer over the whole pooled map, with integers of its own in every place."""
    height, width = into[1] // pool[0], into[2] // pool[1]
    weights = np.random.default_rng(0).integers(-40, 60, (classes, into[0], height, width), np.int8)
    layer = make_layer(weights, 72, (into[0], height, width), (classes, 1, 1), (), bias=bias, floor=-71)
    return Program(
        chip="speck2e",
        arithmetic="int8/int16",
        input_shape=into,
        input_routes=(Route("fc", pool),),
        layers={"fc": layer},
        outputs=("fc",),
        graph_digest="",
        core_of={"fc": core},
        slow_clock_hz=None if bias is None else 100,
    )


def joined(program: Program) -> Program:
    """``program`` behind a layer that two feed."""
    shape = (2, 4, 4)
    unit = np.ones((2, 2, 1, 1), np.int8)
    half = changed(program.layers["fc"], weights=unit, in_shape=shape, out_shape=shape, routes=(Route("fc"),))
    layers = {"a": half, "b": replace(half, routes=(Route("fc", feature_shift=2),)), "fc": program.layers["fc"]}
    return replace(
        program,
        input_shape=shape,
        input_routes=(Route("a"), Route("b")),
        layers=layers,
        core_of={"a": 7, "b": 8, "fc": 2},
    )


DVS = [DvsSection(), DvsSection(origin=(60, 50), mirror=("x", "y", "diagonal"), polarity="off", live=True)]
PROGRAMS = [
    classifier(),
    classifier(into=(1, 32, 32), pool=(4, 4)),
    classifier(core=0, bias=np.array([1, -2, 3], np.int16)),
    joined(classifier(into=(4, 4, 4))),
    classifier(core=0, bias=np.zeros(3, np.int16)),
]


@pytest.mark.parametrize("readout", [None, ReadoutSection(threshold=9, average=32)])
@pytest.mark.parametrize("dvs", DVS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_written_satisfies_the_schema_and_is_plain_json(
    program: Program, dvs: DvsSection, readout: ReadoutSection | None
) -> None:
    assert check_rules(program, CHIP) == ()
    if dvs.origin != (0, 0) and program.input_routes[0].pool != (1, 1):
        dvs = dvs.model_copy(update={"origin": (20, 24)})
    found = configuration(program, CHIP, dvs, readout)
    VALIDATOR.validate(found)
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("cnn_layers", 2, "weights", 0, 0, 0, 0), 128),
        (("cnn_layers", 2, "threshold_low"), 0),
        (("cnn_layers", 2, "destinations", 0, "pooling"), 8),
        (("cnn_layers", 2, "destinations", 0, "layer"), 9),
        (("dvs_layer", "cut", "x"), 128),
        (("readout", "threshold"), 1),
        (("cnn_layers", 2, "extra"), 1),
    ],
)
def test_the_schema_refuses(place: tuple[Any, ...], value: int) -> None:
    found = configuration(classifier(), CHIP)
    part: Any = found
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    assert not VALIDATOR.is_valid(found)


def test_the_schema_has_the_numbers_of_the_chips() -> None:
    defs = SCHEMA["$defs"]
    dimensions, core = defs["dimensions"]["properties"], defs["cnn_layer"]["properties"]
    assert SCHEMA["properties"]["chip"]["enum"] == list(CHIPS)
    for chip in CHIPS.values():
        assert SCHEMA["properties"]["cnn_layers"]["minItems"] == len(chip.cores)
        assert dimensions["kernel_size"]["maximum"] == chip.kernel_max
        assert dimensions["stride"]["properties"]["x"]["enum"] == list(chip.strides)
        assert dimensions["padding"]["properties"]["y"]["maximum"] == chip.padding_max
        assert defs["input_shape"]["properties"]["size"]["properties"]["x"]["maximum"] == chip.input_map_max
        assert defs["output_shape"]["properties"]["size"]["properties"]["x"]["maximum"] == chip.output_map_max
        assert defs["features"]["maximum"] == chip.features_max
        assert defs["destination"]["properties"]["pooling"]["enum"] == list(chip.poolings)
        assert defs["destination"]["properties"]["feature_shift"]["maximum"] == chip.feature_shift_max
        assert defs["dvs_layer"]["properties"]["pooling"]["properties"]["x"]["enum"] == list(chip.dvs_poolings)
        assert defs["position"]["maximum"] == chip.dvs_size - 1
        low, high = chip.integers.weight_range
        assert (defs["int8"]["minimum"], defs["int8"]["maximum"]) == (low, high)
        assert core["threshold_high"]["maximum"] == chip.integers.threshold_max
        assert core["threshold_low"]["maximum"] == chip.integers.floor_max
        assert core["threshold_low"]["minimum"] == chip.integers.state_range[0]
        assert set(chip.sources) == set(chip.__dataclass_fields__) - {"sources"}, "every number has a source"


def test_the_sensor_is_cropped_to_the_map_the_network_sees() -> None:
    def crop(program: Program, **settings: Any) -> tuple[dict[str, int], dict[str, int]]:
        found = described(program, CHIP, DvsSection(**settings))["dvs_layer"]
        return found["origin"], found["cut"]

    assert crop(classifier(into=(2, 9, 5))) == ({"x": 0, "y": 0}, {"x": 4, "y": 8})
    assert crop(classifier(), origin=(120, 3)) == ({"x": 3, "y": 120}, {"x": 10, "y": 127})
    pooled = classifier(into=(2, 18, 8), pool=(2, 4))
    assert crop(pooled, origin=(55, 30)) == ({"x": 30, "y": 55}, {"x": 31, "y": 63})
    assert crop(pooled, origin=(110, 120), crop="sensor") == ({"x": 120, "y": 110}, {"x": 127, "y": 127})
    whole = classifier(into=(2, 128, 128), pool=(4, 4))
    assert crop(whole) == ({"x": 0, "y": 0}, {"x": 31, "y": 31})
    assert crop(whole, crop="sensor") == ({"x": 0, "y": 0}, {"x": 127, "y": 127})
    for beyond in ({"origin": (121, 0)}, {"origin": (0, -1)}):
        with pytest.raises(InputError, match=r"dvs: a crop from .*; need one inside 0\.\.127, 0\.\.127"):
            crop(classifier(), **beyond)
    with pytest.raises(InputError, match=r"need one inside 0\.\.63, 0\.\.31"):
        crop(pooled, origin=(56, 0))


def test_polarities_are_merged_for_one_feature_and_chosen() -> None:
    def polarity(features: int, which: str) -> tuple[bool, bool, bool]:
        dvs = configuration(classifier(into=(features, 4, 4)), CHIP, DvsSection(polarity=which))["dvs_layer"]  # type: ignore[arg-type]
        return dvs["merge"], dvs["on_channel"], dvs["off_channel"]

    assert polarity(1, "both") == (True, True, True)
    assert polarity(2, "on") == (False, True, False)
    assert polarity(1, "off") == (True, False, True)


def test_more_features_than_polarities_come_from_outside() -> None:
    program = classifier(into=(3, 8, 8))
    dvs = configuration(program, CHIP)["dvs_layer"]
    assert not any(destination["enable"] for destination in dvs["destinations"])
    with pytest.raises(InputError, match="settings for an input of 3 features; need at most 2"):
        configuration(program, CHIP, DvsSection(live=True))


def test_an_oblong_map_is_not_mirrored_about_the_diagonal() -> None:
    with pytest.raises(InputError, match="a diagonal mirror of 2x8x4"):
        described(classifier(into=(2, 8, 4)), CHIP, DvsSection(mirror=("diagonal",)))


def test_what_no_source_settles_is_said() -> None:
    def unknown(program: Program, **options: Any) -> list[str]:
        return [text.split(":")[0] for text in configuration(program, CHIP, **options)["unknown"]]

    assert unknown(classifier()) == []
    assert unknown(classifier(pool=(2, 2))) == ["dvs_layer"]
    assert unknown(classifier(), dvs=DvsSection(mirror=("x",)), readout=ReadoutSection()) == [
        "dvs_layer",
        *["readout"] * 3,
    ]
    assert unknown(replace(classifier(), slow_clock_hz=10), readout=ReadoutSection()) == ["readout"] * 2
    assert unknown(classifier(core=1, bias=np.ones(3, np.int16))) == ["fc", "fc", "slow clock"]
    assert unknown(decimated(8)) == ["fc"]


def decimated(interval: int) -> Program:
    program = classifier()
    return program.with_layers({"fc": replace(program.layers["fc"], decimation=interval)})


def test_a_congestion_balancer_is_written_only_where_it_is_on() -> None:
    program = classifier()
    balanced = program.with_layers({"fc": replace(program.layers["fc"], balancer=7000)})
    found, plain = configuration(balanced, CHIP), configuration(program, CHIP)
    VALIDATOR.validate(found)
    assert found["cnn_layers"][2].pop("input_congestion_balancer_enable") is True
    assert found["cnn_layers"] == plain["cnn_layers"]
    assert "a core of 7,000 SynOps per second" in "".join(found["unknown"])


def test_the_output_decimator_and_the_slow_clock_are_configured() -> None:
    for interval, wanted in ((2, (True, 0)), (8, (True, 2)), (512, (True, 8))):
        found = configuration(decimated(interval), CHIP)
        core = found["cnn_layers"][2]
        assert (core["output_decimator_enable"], core["output_decimator_interval"]) == wanted
        Draft202012Validator(SCHEMA).validate(found)
    assert "output_decimator_enable" not in configuration(classifier(), CHIP)["cnn_layers"][2]
    assert configuration(classifier(), CHIP)["slow_clock_hz"] is None
    biased = configuration(classifier(bias=np.array([1, -2, 3], np.int16)), CHIP)
    assert (biased["slow_clock_hz"], biased["cnn_layers"][2]["leak_enable"]) == (100, True)
    without_clock = replace(classifier(bias=np.ones(3, np.int16)), slow_clock_hz=None)
    with pytest.raises(UnsupportedError, match="fc: has a bias, and no slow clock"):
        configuration(without_clock, CHIP)


def over_maps(features: int, height: int, width: int, routes: tuple[Route, ...] = ()) -> Program:
    """A 1x1 convolution with an output of ``features`` x ``height`` x ``width``."""
    layer = make_layer(np.ones((features, 2, 1, 1), np.int8), 5, (2, height, width), (features, height, width), routes)
    layer = replace(layer, neurons=replace(layer.neurons, floor=-5))
    return replace(classifier(into=(2, height, width)), layers={"fc": layer})


@pytest.mark.parametrize(
    ("layout", "number", "output"),
    [("4x2x2", 0, (4, 2, 2)), ("2x4x2", 1, (2, 4, 2)), ("1x4x4", 2, (1, 4, 4)), ("1x4x4", 2, (1, 3, 2))],
)
def test_the_readout_takes_maps_as_they_are(layout: Any, number: int, output: tuple[int, int, int]) -> None:
    program = over_maps(*output)
    readout = ReadoutSection(layout=layout)
    found, plain = configuration(program, CHIP, readout=readout), configuration(program, CHIP)
    VALIDATOR.validate(found)
    assert found["readout"]["readout_configuration_sel"] == number
    assert found["cnn_layers"][2]["destinations"][0] == {"enable": True, "layer": 12, "pooling": 1, "feature_shift": 0}
    assert found["cnn_layers"][2]["weights"] == plain["cnn_layers"][2]["weights"]
    assert as_configured(program, CHIP, found) is program
    assert class_spacing(CHIP, found) == class_spacing(CHIP, plain) == 1
    assert f"each neuron of the layout {layout}" in "".join(found["unknown"])


def test_the_layouts_of_the_recipe_are_those_of_the_chip() -> None:
    layouts = ReadoutSection.model_json_schema()["properties"]["layout"]["enum"]
    for name in ("speck2e", "speck2f"):
        assert sorted(layout_numbers(CHIPS[name])) == sorted(layouts)
    assert layout_numbers(CHIP)[BY_FEATURE] == 3


@pytest.mark.parametrize("output", [(5, 2, 2), (4, 3, 2), (1, 4, 4)])
def test_an_output_beyond_the_layout_of_the_readout_is_refused(output: tuple[int, int, int]) -> None:
    with pytest.raises(UnsupportedError, match=r"an output of .*; need at most 4 features of 2x2 neurons that feed no"):
        configuration(over_maps(*output), CHIP, readout=ReadoutSection(layout="4x2x2"))


def test_the_readout_takes_every_fourth_feature() -> None:
    program = classifier(bias=np.array([1, -2, 3], np.int16))
    found = configuration(program, CHIP, readout=ReadoutSection(threshold=7, average=16))
    core, narrow = found["cnn_layers"][2], configuration(program, CHIP)["cnn_layers"][2]
    assert core["destinations"][0] == {"enable": True, "layer": 12, "pooling": 1, "feature_shift": 0}
    assert core["weights"][::4] == narrow["weights"]
    assert np.shape(core["weights"]) == (9, 2, 8, 8)
    assert not np.delete(np.array(core["weights"]), [0, 4, 8], 0).any()
    assert core["biases"] == [1, 0, 0, 0, -2, 0, 0, 0, 3]
    assert class_spacing(CHIP, found) == 4
    assert as_configured(program, CHIP, found).layers["fc"].out_shape == (9, 1, 1)
    assert found["readout"] == {
        "enable": True,
        "readout_configuration_sel": 3,
        "output_mode_sel": 1,
        "threshold": 7,
        "low_pass_filter_disable": False,
        "low_pass_filter32_not16": False,
        "readout_pin_monitor_enable": True,
    }


@given(st.integers(0, 2**31), st.integers(1, 15))
def test_widening_changes_no_spike(seed: int, classes: int) -> None:
    from deploytool.run.reference.specification import run_reference

    rng = np.random.default_rng(seed)
    program = classifier(classes, (2, 3, 3))
    events = np.zeros(60, EVENT)
    events["t"] = np.arange(60)
    for axis, size in zip("cyx", (2, 3, 3), strict=True):
        events[axis] = rng.integers(0, size, 60)
    before, after = (
        run_reference(each, EventStream(events, (2, 3, 3), 60)).counts["fc"].ravel()
        for each in (program, widen(program, CHIP))
    )
    assert len(after) == 4 * (classes - 1) + 1
    np.testing.assert_array_equal(after[::4], before)
    assert after.sum() == before.sum()


@pytest.mark.parametrize(
    ("program", "chip", "error", "says"),
    [
        (classifier(16), "speck2e", UnsupportedError, "an output of 16x1x1; need 1 to 15 features of one neuron"),
        (replace(PROGRAMS[3], outputs=("a", "fc")), "speck2e", UnsupportedError, "2 output layers"),
        (replace(PROGRAMS[3], outputs=("a",)), "speck2e", UnsupportedError, "2x4x4, feeding fc"),
        (classifier(15, (4, 16, 16)), "speck2e", FitError, "57 features for the readout need .* --pin fc=5"),
        (replace(classifier(), chip="dynapcnn"), "dynapcnn", UnsupportedError, "DynapCNN, whose readout fields"),
    ],
)
def test_what_the_readout_cannot_take_is_refused(
    program: Program, chip: str, error: type[DeployError], says: str
) -> None:
    with pytest.raises(error, match=says):
        configuration(program, CHIPS[chip], readout=ReadoutSection())
