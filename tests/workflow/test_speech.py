"""A network that separates voices, from its recipe to its verdict, and the commands that refuse it."""

from __future__ import annotations

from pathlib import Path

import pytest

import deploytool as dt
from deploytool.base.errors import RecipeError, UnsupportedError
from deploytool.base.messages import Messages
from deploytool.base.tensors import read_tensors
from deploytool.data.speech.mixing import parsed
from deploytool.ir.recording_file import load_recording
from deploytool.ir.verdict_file import load_verdict
from deploytool.recipe import Recipe, load_recipe
from deploytool.store.artifact import Store
from deploytool.store.cache import StageCache
from deploytool.train.network import speech
from deploytool.workflow.check import check
from deploytool.workflow.convert import convert_model
from deploytool.workflow.pipeline import pipeline
from deploytool.workflow.preflight import refuse_impossible
from deploytool.workflow.sources.networks import recipe_geometry
from deploytool.workflow.stored.summaries import summary
from deploytool.workflow.train import train

VOICES = Path(__file__).parents[2] / "recipes" / "speech-voices.toml"
TINY = (
    "data.duration_ms=50",
    "data.train_samples=12",
    "data.test_samples=4",
    "network.input=[4, 1, 39]",
    """network.layers=[
        { type = "conv", out = 6, kernel = 1 }, { type = "batchnorm" }, { type = "spike" },
        { type = "conv", out = 6, kernel = [1, 3], padding = [0, 2], dilation = [1, 2] }, { type = "spike" },
        { type = "conv", out = 8, kernel = 1 }]""",
    "train.epochs=2",
    "train.time_steps=3",
    "train.ptl.stage_epochs=1",
)


def tiny(*overrides: str) -> Recipe:
    return load_recipe(VOICES, [*TINY, *overrides])


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> StageCache:
    return StageCache(Store(tmp_path_factory.mktemp("store")), Messages(quiet=True))


def test_the_pipeline_ends_with_a_verdict_on_four_networks(cache: StageCache) -> None:
    verdict, report = pipeline(cache, tiny("validate.min_si_sdr_improvement_db=-100", "report.samples=2"))
    found = load_verdict(verdict.path)
    run = found.ran["torch"]
    assert found.passed
    assert run.separation is not None
    assert [each.network for each in run.separation.networks] == ["mixture", "PTL", "plain conversion", "ReLUs"]
    assert run.separation.says == "synthetic voices, which are no speech"
    assert run.synops is not None
    assert run.synops > 0
    assert report is not None
    page = (report.path / "report.html").read_text()
    assert "The voices are synthetic voices, which are no speech." in page
    assert "the network stays on torch" in page
    assert page.count("<audio") == 2 * 5
    assert "deploytool pipeline" in page


def test_a_model_has_its_filters_its_comparisons_and_its_mixtures(cache: StageCache) -> None:
    model = train(cache, tiny())
    arrays = read_tensors(model.path / "weights.safetensors")
    relus = read_tensors(model.path / "relus.safetensors")
    plain = read_tensors(model.path / "plain-conversion.safetensors")
    names = (speech.ENCODER, speech.GAIN, speech.BIAS, speech.DECODER)
    for name in names[:3]:
        assert arrays[name].tobytes() == relus[name].tobytes() == plain[name].tobytes()
    assert plain[speech.DECODER].tobytes() == relus[speech.DECODER].tobytes()
    assert arrays[speech.DECODER].tobytes() != relus[speech.DECODER].tobytes()
    pairs = parsed((model.path / "mixtures.txt").read_text(), "mixtures.txt")
    assert [sum(pair.part == part for pair in pairs) for part in ("train", "validation", "test")] == [12, 2, 4]


def test_a_training_that_was_interrupted_ends_with_the_same_model(
    cache: StageCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deploytool.workflow.training_log import TrainingLog

    whole, told = train(cache, tiny()), TrainingLog.epoch

    def stop(self: TrainingLog, entry: dict[str, float], best: bool) -> None:
        told(self, entry, best)
        if entry["epoch"] == 4:
            raise KeyboardInterrupt

    other = StageCache(Store(tmp_path), Messages(quiet=True))
    monkeypatch.setattr(TrainingLog, "epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        train(other, tiny())
    monkeypatch.undo()
    assert train(other, tiny()).digest == whole.digest


def test_the_voices_of_a_recording_are_as_long_as_their_mixtures(cache: StageCache) -> None:
    pipeline(cache, tiny())
    recording = load_recording(cache.store.get("recording@latest").path)
    assert recording.speech is not None
    assert {waves.shape for waves in recording.speech.estimates.values()} == {(4, 2, 400)}
    assert recording.durations_us.tolist() == [50_000] * 4


def test_python_and_lists_of_artifacts_state_the_figures_of_voices(cache: StageCache) -> None:
    pipeline(cache, tiny())
    root = cache.store.root
    model, recording = (dt.open(f"{kind}@latest", store=root) for kind in ("model", "recording"))
    assert isinstance(model, dt.Model)
    assert isinstance(recording, dt.Recording)
    assert model.validation_si_sdr_db is not None
    assert "SI-SDR" in repr(model)
    assert recording.separation is not None
    assert recording.separation.mixtures == 4
    for kind in ("model", "recording"):
        artifact = cache.store.get(f"{kind}@latest")
        said = summary(cache.store, artifact).result
        assert said is not None
        assert said.startswith("SI-SDR ")
        assert said.endswith(" dB")


def test_commands_for_a_chip_say_that_no_chip_runs_it(cache: StageCache) -> None:
    says = "the network stays on torch"
    with pytest.raises(UnsupportedError, match=says):
        convert_model(cache, train(cache, tiny()))
    with pytest.raises(UnsupportedError, match=says):
        recipe_geometry(tiny())
    with pytest.raises(UnsupportedError, match=says):
        check(cache.store, str(VOICES))
    with pytest.raises(RecipeError, match=f"run.on: found .*{says}"):
        tiny("run.on=['emulator']")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.method=sdt", "train.method: found 'sdt'; need ptl"),
        ("train.loss=ce", "train.loss: found 'ce'; need si_sdr"),
        ("train.augment={ shift = 1 }", "train.augment: given; need none"),
        ("validate.min_accuracy=90", "validate.min_accuracy: given with task.kind 'separate'"),
        ("task.decode=potential", "task.decode: given with kind separate; need kind regress"),
        ("task.kind=classify", "train.loss|validate.min_si_sdr"),
    ],
)
def test_keys_that_do_not_go_with_voices_are_refused(override: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        tiny(override)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("network.input=[4, 1, 40]", r"network.input: found \[4, 1, 40\]; need \[4, 1, 39\]"),
        (
            "data.duration_ms=51",
            "data.duration_ms: mixtures of 408 samples; need 20 samples, one filter, and a multiple",
        ),
        ("task.window_ms=2.6", "task.window_ms: found 2.6, 21 samples at 8000 Hz; need an even number"),
        ("network.layers.5.out=7", "the last gives 273 values; need 312"),
        ("data={ set = 'mnist', coding = 'direct' }", "task.kind: found 'separate'; need 'classify' for the set mnist"),
    ],
)
def test_a_network_that_does_not_fit_the_mixtures_is_refused(override: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        refuse_impossible(tiny(override))
