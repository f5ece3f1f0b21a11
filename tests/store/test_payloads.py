"""The schemas of JSON payloads: they are those of the values that are written, and name what is wrong."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from deploytool.base.errors import ArtifactError
from deploytool.base.json_text import canonical_json
from deploytool.ir.self_test import Answer, Case, SelfTest, Speed, as_json
from deploytool.map.calibrate import LayerCalibration
from deploytool.map.quantise import LayerQuantisation
from deploytool.map.split import Split
from deploytool.store import payloads
from deploytool.store.artifact import Artifact, Request, Store
from deploytool.store.file_names import CALIBRATION, CLASSES, DECODER, HISTORY, SELFTEST, SPLITS

EPOCH = {"epoch": 1, "loss": 0.5, "accuracy": 90.0, "validation_loss": 0.6, "validation_accuracy": 80.0, "chosen": 1}
GAIN = {"plain": 1.5, "calibrated": None}
LAYER = {
    **{"layer": "conv", "kept": True, "found": True, "threshold": 2, "threshold_plain": 3, "cut": 0, "moved": 1},
    **dict.fromkeys(("alone", "alone_held_out", "network", "network_held_out"), GAIN),
}
TESTED = SelfTest("board:0", "speck2e", (Case("a", 0, "b", True, "", 1),), (Answer("c", 0, "d", "e", None),), (), None)
VALUES: dict[str, Any] = {
    HISTORY: [EPOCH],
    SPLITS: [{"layer": "conv", "into": ["conv.0"], "why": "too large"}],
    CALIBRATION: {
        **{"says": "better", "kept": True, "samples": 4, "held_out": 8, "output": GAIN, "output_held_out": GAIN},
        "layers": [LAYER],
    },
    DECODER: {"values": ["x"], "weights": [[1.0]], "offset": [0.0], "unit": "", "reads": "rate", "window_us": None},
    SELFTEST: as_json(dataclasses.replace(TESTED, speeds=(Speed(0, 10, 20, 0.5),))),
    CLASSES: ["left", "right"],
}


def artifact_with(name: str, value: Any, root: Path) -> Artifact:
    def write(folder: Path) -> None:
        (folder / name).write_text(canonical_json(value))

    return Store(root).put(Request("model", {}, {}), write)


@pytest.mark.parametrize("name", VALUES)
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    assert artifact_with(name, VALUES[name], tmp_path).read_json(name) == VALUES[name]


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        (payloads._Quantised, LayerQuantisation),
        (payloads._Split, Split),
        (payloads._CalibratedLayer, LayerCalibration),
        (payloads._Case, Case),
    ],
)
def test_a_schema_has_the_fields_that_are_written(schema: Any, written: Any) -> None:
    assert {*schema.model_fields} == {field.name for field in dataclasses.fields(written)}


@pytest.mark.parametrize(
    ("name", "path", "value", "says"),
    [
        (HISTORY, (0, "loss"), "low", "0.loss: input should be a valid number"),
        (HISTORY, (0, "validation_accuracy"), None, "0.validation_accuracy: input should be a valid number"),
        (
            HISTORY,
            (),
            [EPOCH, {"epoch": 2, "loss": 1.0, "validation_loss": 1.0}],
            "epochs with different scores; need one of accuracy, r2, si_sdr in all of them, or none",
        ),
        (HISTORY, (), {"a": 1}, "input should be a valid array"),
        (SPLITS, (0, "into"), "conv.0", "0.into: input should be a valid array"),
        (CALIBRATION, ("layers", 0, "alone", "plain"), [], "layers.0.alone.plain: input should be a valid number"),
        (CALIBRATION, ("extra",), 1, "extra: extra inputs are not permitted"),
        (DECODER, ("reads",), "both", "reads: input should be 'rate' or 'potential'"),
        (SELFTEST, ("cases", 0, "passed"), "yes", "cases.0.passed: input should be a valid boolean"),
        (CLASSES, (1,), 2, "1: input should be a valid string"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, name: str, path: tuple[Any, ...], value: Any, says: str) -> None:
    values = copy.deepcopy(VALUES[name])
    if path:
        parent = values
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = value
    else:
        values = value
    made = artifact_with(name, values, tmp_path)
    with pytest.raises(ArtifactError) as caught:
        made.read_json(name)
    assert caught.value.exit_code == 4
    assert str(made.path / name) in str(caught.value)
    assert says in str(caught.value)


def test_epochs_have_one_score_in_common(tmp_path: Path) -> None:
    other = {**EPOCH, "r2": 0.5, "validation_r2": 0.5}
    del other["validation_accuracy"], other["accuracy"]
    with pytest.raises(ArtifactError, match="epochs with different scores"):
        artifact_with(HISTORY, [EPOCH, other], tmp_path).read_json(HISTORY)


def test_a_file_that_the_manifest_lacks_is_not_read(tmp_path: Path) -> None:
    made = artifact_with(HISTORY, [EPOCH], tmp_path)
    (made.path / CALIBRATION).write_text(canonical_json(VALUES[CALIBRATION]))
    assert made.read_json(CALIBRATION) is None
    with pytest.raises(ArtifactError, match=r"calibration\.json: not in the manifest; need a model with this file"):
        made.stored_json(CALIBRATION)


@pytest.mark.parametrize(
    ("kind", "recipe", "says"),
    [
        ("model", {"train": {"time_steps": "ten"}}, "recipe: train.time_steps: input should be a valid integer"),
        ("program", {"map": {"target": 3}}, "recipe: map.target: input should be a valid string"),
        ("recording", {"perturbation": {"drop": []}}, "recipe: perturbation.drop: input should be a valid number"),
        ("graph", {"weight_bits": 99}, "recipe: weight_bits: input should be less than or equal to 32"),
        ("samples", {"data": "digits"}, "recipe: data: input should be an object"),
    ],
)
def test_a_wrong_key_of_a_request_is_named(tmp_path: Path, kind: Any, recipe: dict[str, Any], says: str) -> None:
    store = Store(tmp_path)
    made = store.put(Request(kind, {}, recipe), lambda folder: (folder / "a").write_text("a") and None)
    with pytest.raises(ArtifactError) as caught:
        store.get(made.name)
    assert f"{made.path / 'manifest.json'}: {says}" in str(caught.value)


def test_an_input_that_is_no_digest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="which is no digest"):
        Store(tmp_path).put(Request("graph", {"model": "../../x"}, {}), lambda _: None)


@pytest.mark.parametrize("lists", [[[[[1, 2], [3]]]], [[[[]]]], []])
def test_the_weights_of_a_core_are_an_array(lists: list[Any]) -> None:
    """A header in C was made of lists of different lengths."""
    from deploytool.store.configuration import _Core

    pair, sizes = {"x": 1, "y": 1}, {"feature_count": 1, "size": {"x": 1, "y": 1}}
    shapes = {"input_shape": sizes, "output_shape": sizes, "kernel_size": 1, "stride": pair, "padding": pair}
    core = {
        **{"name": "a", "dimensions": shapes, "destinations": [], "biases": [], "leak_enable": False},
        **{"weights": [[[[1]]]], "neurons_initial_value": [[[0]]], "return_to_zero": False, "monitor_enable": True},
        **{"threshold_high": 1, "threshold_low": 0},
    }
    assert _Core.model_validate(core)
    with pytest.raises(ValueError, match="lists of different lengths, or of none"):
        _Core.model_validate({**core, "weights": lists})


def test_a_readout_that_is_on_states_all_of_its_fields() -> None:
    """One without its layout was a traceback in `package`."""
    from deploytool.store.configuration import Configuration

    pair, flags = {"x": 0, "y": 0}, {"x": False, "y": False}
    sensor = {
        **{"destinations": [], "merge": False, "on_channel": True, "off_channel": True, "mirror": flags},
        **{"mirror_diagonal": False, "origin": pair, "cut": pair, "pooling": pair, "monitor_enable": False},
        "pass_sensor_events": False,
    }
    whole = {"chip": "speck2e", "slow_clock_hz": None, "cnn_layers": [], "dvs_layer": sensor, "unknown": []}
    assert Configuration.model_validate({**whole, "readout": {"enable": False}})
    with pytest.raises(ValueError, match=r"readout_configuration_sel\n *Field required"):
        Configuration.model_validate({**whole, "readout": {"enable": True}})
