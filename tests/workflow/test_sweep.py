"""Sweeps from the command line: a small trained model and a network in a file."""

from __future__ import annotations

import csv
import io
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import RECIPE, answer, invoke, network, refusal
from helpers.sweeps import curve as made_curve
from helpers.sweeps import point as made_point
from typer.testing import Result

from deploytool.convert.nir import write_nir
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Input, Output, Spike
from deploytool.ir.recording_file import load_recording
from deploytool.ir.sweep import QUANTITIES
from deploytool.store.artifact import Store
from deploytool.store.lineage import sweeps_of
from deploytool.validate import metrics

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, its trained model in the store, and a network in a file."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.toml").write_text(RECIPE, encoding="utf-8")
    write_nir(network(), folder / "net.nir")
    assert invoke(folder, "train", folder / "small.toml").exit_code == 0
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "copy")
    return tmp_path / "copy"


DIGITS = ("--data", "digits", "--samples", 20)


def sweep(folder: Path, *arguments: object) -> Result:
    return invoke(folder, "sweep", *arguments, "--json")


def points(found: dict[str, Any], curve: int = 0) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = found["curves"][curve]["points"]
    return listed


def stored(folder: Path, name: str) -> Path:
    return folder / "store" / name


def test_a_trained_model_over_time_steps(folder: Path) -> None:
    """Every point is a recording of torch; the one at the trained number is that of the pipeline."""
    found = answer(sweep(folder, "model@latest", "--time-steps", "12,1,6"))
    (curve,) = found["curves"]
    assert (curve["on"], curve["model"], curve["quantity"]) == ("torch", "sdt", "time_steps")
    assert [point["value"] for point in curve["points"]] == [1, 6, 12]
    pipeline = answer(invoke(folder, "pipeline", folder / "small.toml", "--json"))
    rungs = {rung["name"]: rung for rung in pipeline["rungs"]}
    assert points(found)[1]["accuracy"] == rungs["torch"]["accuracy"]
    assert points(found)[1]["synops"] == rungs["torch"]["synops"]
    difference = next(pair for pair in pipeline["spike_difference"] if pair["reference"] == "simulator")
    assert points(found)[1]["spike_difference"] == difference["output"]["pooled"]
    for point in curve["points"]:
        (name,) = point["recordings"]
        recording = load_recording(stored(folder, name))
        assert recording.rung == "torch"
        assert recording.setup.time_steps == point["value"]
        assert point["accuracy"] == round(metrics.accuracy(recording) or 0, 4)


def test_the_integers_over_time_steps(folder: Path) -> None:
    found = answer(sweep(folder, folder / "net.nir", "--time-steps", "4", *DIGITS))
    (curve,) = found["curves"]
    assert (curve["on"], curve["reference"]) == ("quantised", "the emulator, event by event")
    program = next((folder / "store").glob("program-*"))
    run = ("run", program, *DIGITS)
    alone = answer(invoke(folder, *run, "--on", "quantised", "--time-steps", 4, "--json"))
    assert points(found)[0]["recordings"] == [alone["artifact"]]
    emulated = answer(invoke(folder, *run, "--json"))
    verdict = answer(invoke(folder, "validate", alone["artifact"], "--against", emulated["artifact"], "--json"))
    assert points(found)[0]["spike_difference"] == verdict["spike_difference"][0]["output"]["pooled"]


def test_torch_and_our_engine_agree_over_time_steps(folder: Path) -> None:
    """On "torch" a model runs in torch, and its graph in our engine."""
    trained = answer(sweep(folder, "model@latest", "--time-steps", "3,9"))
    answer(invoke(folder, "convert", "model@latest", "--json"))
    graph = answer(sweep(folder, "graph@latest", "--time-steps", "3,9", "--on", "torch"))
    keys = ("accuracy", "synops", "spike_difference")
    assert [[point[key] for key in keys] for point in points(trained)] == [
        [point[key] for key in keys] for point in points(graph)
    ]


def test_without_a_reference(folder: Path) -> None:
    found = answer(sweep(folder, "model@latest", "--time-steps", "3", "--against", "none"))
    assert points(found)[0]["spike_difference"] is None
    assert not list((folder / "store").glob("program-*"))


IMAGES = RECIPE.replace('"digits"', '"digits-images"\ncoding = "direct"').replace("[2, 16, 16]", "[1, 8, 8]")


def test_images_that_are_no_events_have_no_reference(tmp_path: Path) -> None:
    text = IMAGES.replace("rasters = 2", "on = []").replace("max_accuracy_drop = 100", "")
    (tmp_path / "images.toml").write_text(text, encoding="utf-8")
    assert invoke(tmp_path, "train", tmp_path / "images.toml").exit_code == 0
    found = answer(sweep(tmp_path, "model@latest", "--time-steps", "1,6"))
    assert [point["spike_difference"] for point in points(found)] == [None, None]
    assert points(found)[1]["accuracy"] > 0
    for asked in (("--time-steps", "2", "--against", "simulator"), ("--until-ms", "2"), ("--bits", "4")):
        result = invoke(tmp_path, "sweep", "model@latest", *asked, "--requantise" if "--bits" in asked else "-q")
        assert result.exit_code in (2, 3), result.output
        assert "Traceback" not in result.stderr


def test_any_time_points_come_from_one_run(folder: Path) -> None:
    found = answer(
        sweep(
            folder, "model@latest", "--events", "50,200,100000", "--early-exit", "margin=1,3", "--early-exit", "spikes"
        )
    )
    assert [curve["quantity"] for curve in found["curves"]] == ["events", "margin", "spikes"]
    names = {name for curve in found["curves"] for point in curve["points"] for name in point["recordings"]}
    (name,) = names
    assert [path.name for path in (folder / "store").glob("recording-*")] == [name]
    first, second, whole = points(found)
    assert 50 <= first["events"] < second["events"] < whole["events"]
    recording = load_recording(stored(folder, name))
    assert whole["synops"] == round(float(recording.synops.mean()), 4)
    assert whole["accuracy"] == round(metrics.accuracy(recording) or 0, 4)
    assert whole["spike_difference"] == 0
    early, late = points(found, 1)
    assert early["events"] <= late["events"]
    more = sweep(folder, "model@latest", "--until-ms", "5,20")
    assert points(answer(more))[0]["recordings"] == [name]


def test_synops_of_a_cut_are_those_of_a_shorter_run(folder: Path) -> None:
    """The first 20 ms of every sample, cut from the whole run, and as samples of their own."""
    found = answer(sweep(folder, "model@latest", "--until-ms", "20"))
    recipe = folder / "short.toml"
    text = RECIPE.replace("test_samples = 30", "test_samples = 30\nduration_ms = 20")
    recipe.write_text(text, encoding="utf-8")
    from deploytool.base.messages import Messages
    from deploytool.recipe import load_recipe
    from deploytool.run.jobs.job import Job
    from deploytool.store.cache import StageCache
    from deploytool.workflow.run import run
    from deploytool.workflow.sources.samples import dataset

    cache = StageCache(Store(folder / "store"), Messages(quiet=True))
    spec = load_recipe(recipe)
    program = next((folder / "store").glob("program-*"))
    shorter = load_recording(run(cache, str(program), Job("emulator"), dataset(spec.data, spec.seed)).path)
    (point,) = points(found)
    assert point["synops"] == round(float(shorter.synops.mean()), 4)
    assert point["accuracy"] == round(metrics.accuracy(shorter) or 0, 4)
    assert point["silent"] == metrics.silent(shorter)


def test_many_samples_are_several_recordings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("model@latest", "--until-ms", "10,40", "--early-exit", "entropy=0.5,0.1")
    whole = answer(sweep(folder, *asked))
    monkeypatch.setattr("deploytool.workflow.swept.BLOCK_EVENTS", 5_000)
    found = answer(sweep(folder, *asked))
    names = points(found)[0]["recordings"]
    assert len(names) > 3
    assert sum(len(load_recording(stored(folder, name))) for name in names) == 30
    for curve in (*whole["curves"], *found["curves"]):
        for point in curve["points"]:
            del point["recordings"]
    assert found["curves"] == whole["curves"]


def test_outputs_only_keeps_less_and_knows_no_synops(folder: Path) -> None:
    found = answer(sweep(folder, "model@latest", "--until-ms", "20", "--outputs-only"))
    (point,) = points(found)
    assert point["synops"] is None
    whole = answer(sweep(folder, "model@latest", "--until-ms", "20"))
    assert point["accuracy"] == points(whole)[0]["accuracy"]
    assert len(load_recording(stored(folder, point["recordings"][0])).spikes) == 2


def test_bits(folder: Path) -> None:
    sentence = refusal(invoke(folder, "sweep", "model@latest", "--bits", "2,4,8"), 2)
    assert "'sdt' was trained at 8 bits" in sentence
    assert "--requantise" in sentence
    assert not list((folder / "store").glob("recording-*"))
    found = answer(sweep(folder, "model@latest", "--bits", "2,4,8", "--requantise"))
    assert found["curves"][0]["reference"] == "the simulator, event by event"
    coarse, _, fine = points(found)
    assert coarse["spike_difference"] > fine["spike_difference"]
    assert len({point["recordings"][0] for point in points(found)}) == 3


def test_perturbation(folder: Path) -> None:
    asked = ("--perturb", "weights=0,20%", "--repeats", 3, *DIGITS)
    found = answer(sweep(folder, "model@latest", *asked))
    plain, perturbed = points(found)
    assert (plain["draws"], plain["spike_difference"], plain["range"]) == (1, 0, None)
    assert perturbed["draws"] == len(perturbed["recordings"]) == 3
    assert perturbed["spike_difference"] > 0
    assert perturbed["range"][0] <= perturbed["accuracy"] <= perturbed["range"][1]
    spread = answer(
        invoke(folder, "run", "program@latest", *DIGITS, "--perturb", "weights=20%", "--repeats", 3, "--json")
    )
    assert spread["perturbed"] == perturbed["recordings"]
    assert spread["spread"][0]["mean"] == pytest.approx(perturbed["accuracy"], abs=1e-3)


def test_several_networks_on_the_same_samples(folder: Path) -> None:
    found = answer(sweep(folder, "ours=model@latest", folder / "net.nir", "--time-steps", "3", *DIGITS))
    assert [(curve["model"], curve["on"]) for curve in found["curves"]] == [("ours", "torch"), ("net", "quantised")]
    assert "its training is not in the store" in refusal(
        invoke(folder, "sweep", "model@latest", folder / "net.nir", "--time-steps", 3), 2
    )
    assert "named twice" in refusal(invoke(folder, "sweep", "model@latest", "model@latest", "--time-steps", 3), 2)


def test_models_trained_on_other_data_need_samples(folder: Path) -> None:
    (folder / "other.toml").write_text(RECIPE.replace("test_samples = 30", "test_samples = 29"), encoding="utf-8")
    assert invoke(folder, "train", folder / "other.toml").exit_code == 0
    both = (folder / "small.toml", folder / "other.toml", "--time-steps", 3)
    assert "trained on other data" in refusal(invoke(folder, "sweep", *both, "-q"), 2)
    found = answer(sweep(folder, *both, *DIGITS))
    assert [curve["model"] for curve in found["curves"]] == ["small", "other"]


def test_a_recipe_stands_for_its_trained_model(folder: Path) -> None:
    found = answer(sweep(folder, folder / "small.toml", "--time-steps", "2"))
    assert found["curves"][0]["model"] == "small"
    changed = folder / "changed.toml"
    changed.write_text(RECIPE.replace("epochs = 2", "epochs = 3"), encoding="utf-8")
    assert "Run deploytool train" in refusal(invoke(folder, "sweep", changed, "--time-steps", "2"), 2)


def test_a_program_is_swept_on_what_it_is_for(folder: Path) -> None:
    for target in ("speck2e", "simulator"):
        program = answer(invoke(folder, "map", folder / "net.nir", "--target", target, "--json"))["artifact"]
        found = answer(sweep(folder, program, "--time-steps", "2", *DIGITS))
        assert found["curves"][0]["on"] == ("torch" if target == "simulator" else "quantised")
        found = answer(sweep(folder, program, "--until-ms", "2", *DIGITS))
        assert found["curves"][0]["on"] == ("simulator" if target == "simulator" else "emulator")
        sentence = refusal(invoke(folder, "sweep", program, "--bits", "4", *DIGITS), 2)
        assert "fixed" in sentence
        if target == "simulator":
            against = ("--time-steps", "2", "--against", "emulator")
            assert "not mapped for a chip" in refusal(invoke(folder, "sweep", program, *against, *DIGITS), 2)
        wrong = "quantised" if target == "simulator" else "torch"
        sentence = refusal(invoke(folder, "sweep", program, "--time-steps", "2", "--on", wrong, *DIGITS), 2)
        assert "not mapped for that" in sentence
        assert "--target" in refusal(
            invoke(folder, "sweep", program, "--until-ms", "4", "--target", "speck2e", *DIGITS), 2
        )


def test_a_network_that_does_not_fit_is_refused_before_the_first_run(folder: Path) -> None:
    large = np.ones((4, 2, 3, 3), np.float32).repeat(64, axis=0)
    nodes = [
        ("in", Input((2, 64, 64))),
        ("conv", Conv(large)),
        ("if", Spike()),
        ("out", Output()),
    ]
    write_nir(chain(nodes), folder / "large.nir")
    result = invoke(folder, "sweep", folder / "net.nir", folder / "large.nir", "--time-steps", 3, *DIGITS)
    assert result.exit_code == 7, result.output
    assert not list((folder / "store").glob("recording-*"))


def test_the_same_sweep_is_not_made_again(folder: Path) -> None:
    asked = ("model@latest", "--time-steps", "2,5")
    first = sweep(folder, *asked)
    again = sweep(folder, *asked)
    assert "made" not in again.stderr
    assert answer(first) == answer(again)
    more = sweep(folder, "model@latest", "--time-steps", "2,5,7")
    assert more.stderr.count("  made") == 2  # the third point, and the sweep
    assert more.stderr.count("already there") == 5  # two points, the reference, the graph and its program


def test_an_interrupted_sweep_keeps_its_points(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deploytool.train.loop import evaluate

    right = evaluate.evaluate

    def interrupting(net: Any, *arguments: Any) -> Any:
        if net.spec.time_steps == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return right(net, *arguments)

    monkeypatch.setattr(evaluate, "evaluate", interrupting)
    cut = sweep(folder, "model@latest", "--time-steps", "2,5,9")
    assert cut.exit_code == 130
    kept = {path.name for path in (folder / "store").glob("recording-*")}
    assert len(kept) == 2  # the first point, and the reference
    monkeypatch.undo()
    resumed = sweep(folder, "model@latest", "--time-steps", "2,5,9")
    assert len(points(answer(resumed))) == 3
    assert all(f"{name}  already there" in resumed.stderr for name in kept)


def test_rows_of_large_figures_fit_sixty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    from deploytool.cli.terminal import print_value
    from deploytool.workflow.stored.contents import _points

    for name, quantity in QUANTITIES.items():
        used = {"events": 3790.5, "ms": 300.25} if quantity.how in ("cut", "exit") else {}
        large = made_point(1000, 88.88, synops=999_999.0, spike_difference=99.99, **used)
        print_value({"title": _points(made_curve("net", name, large))})
    assert max(len(line.rstrip()) for line in capsys.readouterr().out.splitlines()) <= 60


def test_the_table_fits_sixty_columns(folder: Path) -> None:
    for asked in (("--time-steps", "2,1000"), ("--until-ms", "5", "--early-exit", "entropy")):
        shown = invoke(folder, "sweep", "model@latest", *asked)
        rows = [line for line in shown.stdout.splitlines() if line.startswith("  ")]
        assert len(rows) > 2
        assert max(len(row.rstrip()) for row in rows) <= 60
    assert "sdt on torch" in invoke(folder, "sweep", "model@latest", "--time-steps", "2,1000").stdout


def test_csv_and_figures(folder: Path) -> None:
    names = [folder / f"curves{suffix}" for suffix in (".svg", ".pdf", ".png")]
    options = [option for name in names for option in ("--figure", name)]
    found = answer(sweep(folder, "model@latest", "--time-steps", "1,2", "--csv", folder / "curves.csv", *options))
    rows = list(csv.DictReader(io.StringIO((folder / "curves.csv").read_text(encoding="utf-8"))))
    assert [float(row["accuracy"]) for row in rows] == [point["accuracy"] for point in points(found)]
    assert [name.read_bytes()[:4] for name in names] == [b"<?xm", b"%PDF", b"\x89PNG"]


def test_a_sweep_belongs_to_its_model(folder: Path) -> None:
    found = answer(sweep(folder, "model@latest", "--time-steps", "1"))
    store = Store(folder / "store")
    model, made = store.get("model@latest"), store.get("sweep@latest")
    assert [each.name for each in sweeps_of(store, model)] == [made.name] == [found["artifact"]]
    shown = answer(invoke(folder, "show", "sweep@latest", "--json"))
    assert shown["samples"] == 30
    write_nir(network(weight=network().nodes["conv"].weight * 2), folder / "other.nir")  # type: ignore[union-attr]
    assert invoke(folder, "convert", folder / "other.nir").exit_code == 0
    assert sweeps_of(store, store.get("graph@latest")) == ()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--time-steps", "0,a"), "--time-steps 0,a: found 'a'"),
        (("--time-steps", "0,4"), "--time-steps: found 0; need whole numbers from 1"),
        (("--time-steps", "1.5"), "--time-steps: found 1.5; need whole numbers"),
        (("--time-steps", "2,2"), "--time-steps: found 2 twice"),
        (("--time-steps", "1,3,...,8"), "the series is not clear"),
        (("--until-ms", "-5"), "--until-ms -5: found '-5'"),
        (("--bits", "1"), "--bits: found 1; need whole numbers from 2 to 8"),
        (("--perturb", "noise=1%"), "--perturb noise=1%: not of this form"),
        (("--perturb", "drop=150%"), "--perturb: found 150; need numbers from 0 to 100"),
        (("--early-exit", "hope"), "--early-exit hope: no such policy"),
        (("--early-exit", "entropy=2"), "--early-exit: found 2; need numbers from 0 to 1"),
        (("--time-steps", "1", "--bits", "4"), "--time-steps, --bits: given together"),
        (("--time-steps", "1", "--early-exit", "margin"), "--early-exit: given with --time-steps"),
        (("--time-steps", "1", "--on", "emulator"), "--on emulator: given with --time-steps"),
        (("--events", "1", "--on", "quantised"), "--on quantised: given with --events"),
        (("--events", "1", "--against", "simulator"), "--against simulator: given with --events"),
        (("--time-steps", "1", "--against", "torch"), "--against torch: no such reference"),
        (("--time-steps", "1", "--requantise"), "--requantise: given with --time-steps"),
        (("--time-steps", "1", "--repeats", "2"), "--repeats, --seed: given with --time-steps"),
        (("--time-steps", "1", "--outputs-only"), "--outputs-only: given with --time-steps"),
        (("--time-steps", "1", "--figure", "curves.gif"), "--figure curves.gif: found '.gif'"),
        (("--time-steps", "1", "--csv", "nowhere/curves.csv"), "there is no folder nowhere"),
        (("--time-steps", "1", "--samples", "4"), "--samples: given without --data"),
        (("--until-ms", "1", "--target", "loihi"), "loihi"),
        ((), "nothing to vary"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(options: tuple[str, ...], says: str, tmp_path: Path) -> None:
    """Before the network is even looked for."""
    assert says in refusal(invoke(tmp_path, "sweep", "model@latest", *options), 2)


def test_samples_of_another_shape_are_refused(folder: Path) -> None:
    from deploytool.ir.events import EVENT

    events = np.zeros(3, EVENT)
    events["x"] = 40
    np.save(folder / "wide.npy", events)
    for asked in (("--time-steps", "2"), ("--until-ms", "2")):
        result = invoke(folder, "sweep", "model@latest", *asked, "--data", folder / "wide.npy", "-q")
        assert result.exit_code == 5, result.output
        assert "Traceback" not in result.stderr
