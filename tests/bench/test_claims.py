"""Claims: every file is one, its arms are recipes, and figures become means, spreads and verdicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploytool.base.errors import RecipeError
from deploytool.base.messages import Messages
from deploytool.bench.experiments.claim import Claim, arm_recipe, load_claims
from deploytool.bench.experiments.measures import MEASURES
from deploytool.bench.experiments.runner import claims
from deploytool.bench.experiments.table import as_markdown, rows, spread
from deploytool.bench.step_time import milliseconds, one_epoch
from deploytool.ir.recording_file import load_recording
from deploytool.recipe import load_recipe
from deploytool.store.artifact import Store
from deploytool.store.cache import StageCache
from deploytool.workflow.train import run_trained, train

FOLDER = Path(__file__).parents[2] / "recipes" / "claims"
CLAIMS = load_claims(FOLDER)

TWO_ARMS = Claim.model_validate(
    {
        "says": "b beats a",
        "source": "us",
        "cost": "the same",
        "measures": ["ladder"],
        "arms": {"a": {}, "b": {}},
        "expect": [{"says": "b is better", "figure": "x", "better": "b", "than": "a"}],
    }
)


def judged(a: list[float], b: list[float], **keys) -> str:
    claim = TWO_ARMS.model_copy(update={"expect": (TWO_ARMS.expect[0].model_copy(update=keys),)})
    measured = {arm: {seed: {"x": x} for seed, x in enumerate(xs)} for arm, xs in (("a", a), ("b", b))}
    return str(rows(claim, measured)["expected"][0]["verdict"])


@pytest.mark.parametrize("name", CLAIMS)
def test_every_arm_is_a_recipe(name):
    claim = CLAIMS[name]
    assert set(claim.measures) <= MEASURES.keys()
    assert len(claim.seeds) >= 3
    for arm in claim.arms:
        recipe = arm_recipe(claim, arm, 7, FOLDER, None)
        if recipe is not None:
            assert recipe.seed == 7


@pytest.mark.parametrize("arm", ["t1", "t2", "t4", "t8"])
def test_arms_over_time_steps_have_as_many_weights(arm, tmp_path):
    recipe = arm_recipe(CLAIMS["trev-mnist"], arm, 0, FOLDER, None)
    figures = MEASURES["size"](StageCache(Store(tmp_path), Messages(quiet=True)), recipe, 0, {})
    assert figures["k weights"] == pytest.approx(376, rel=0.01)


def test_differences_are_judged_seed_by_seed():
    assert judged([1, 5, 9], [2, 6, 10.1]) == "agrees"
    assert judged([1, 5, 9], [0, 4, 7.9]) == "disagrees"
    assert judged([1, 5, 9], [2, 3, 10]) == "undecided"
    assert judged([1, 5, 9], [1, 5, 9]) == "no difference"
    assert judged([1, 5, 9], [0, 4, 7.9], smaller=True) == "agrees"
    assert judged([1, 5, 9], [2, 6, 10.1], margin=5) == "disagrees"
    assert judged([1], [2]) == "not run"


def test_mean_and_spread():
    assert spread([1.0, 2.0, 3.0]) == "2.000 ± 1.000"
    assert spread([97.0]) == "97.0"
    assert spread([]) == "-"
    assert spread([1e-7, 3e-8]) == "at most 1e-07"


def test_a_claim_whose_data_is_absent_is_not_run(tmp_path):
    said = claims(StageCache(Store(tmp_path), Messages(quiet=True)), FOLDER, "scalability-nmnist")
    assert said["claims"]["scalability-nmnist"]["status"].startswith("not run: it needs the data set nmnist")
    assert "not run" in Path(said["table"]).read_text(encoding="utf-8")


def test_unknown_claims_and_arms_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="no claim 'x'; need one of"):
        load_claims(FOLDER, "x")
    with pytest.raises(RecipeError, match=r"no claims; need a folder of .toml files. Name it with --folder\."):
        load_claims(tmp_path, "x")
    (tmp_path / "bad.toml").write_text('says = "s"\n', encoding="utf-8")
    with pytest.raises(RecipeError, match=r"bad\.toml: source: missing; need a value") as refused:
        load_claims(tmp_path)
    assert all(len(problem.splitlines()) == 1 for problem in refused.value.problems)
    for content, says in ((b"\xff\xfe", "UTF-16 text"), (b"\xff", "not UTF-8"), (b"a = " + b"[" * 5000, "too deeply")):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(RecipeError, match=says):
            load_claims(tmp_path)
    with pytest.raises(ValueError, match="expects something of arm 'b'; need one of a"):
        Claim.model_validate({**TWO_ARMS.model_dump(), "arms": {"a": {}}})


def test_what_failed_is_in_the_table():
    measured = {"a": {0: {"x": 1.0}, 1: {"failed": "too small"}, 2: {"x": 2.0}}}
    result = rows(TWO_ARMS, measured)
    assert result["arms"][0] == {"arm": "a", "seeds": 2, "x": "1.500 ± 0.707", "failed": "too small"}
    assert "too small" in as_markdown({"t": TWO_ARMS}, {"t": result})


def test_a_small_claim_runs_and_is_not_measured_twice(tmp_path):
    (tmp_path / "small.toml").write_text(
        f"""
says = "more epochs are better"
source = "common sense"
cost = "not equal"
recipe = "{(FOLDER.parent / "digits.toml").as_posix()}"
measures = ["trained", "scalability"]
options = {{ steps = [2] }}
set = {{ "data.train_samples" = 40, "data.test_samples" = 20, "train.time_steps" = 3, "train.epochs" = 1 }}
[arms.one]
[arms.two]
"train.epochs" = 2
""",
        encoding="utf-8",
    )
    cache = StageCache(Store(tmp_path / "store"), Messages(quiet=True))
    first = claims(cache, tmp_path)["claims"]["small"]
    assert [row["seeds"] for row in first["arms"]] == [3, 3]
    kept = {path.name: json.loads(path.read_text()) for path in (tmp_path / "store" / "claims").glob("*.json")}
    assert len(kept) == 6
    assert all({"torch %", "T=2"} <= figures.keys() for figures in kept.values())
    assert claims(cache, tmp_path)["claims"]["small"] == first


STILL = (
    "data={set = 'digits-images', coding = 'direct', train_samples = 60, test_samples = 20}",
    "network={input = [1, 8, 8], layers = [{type = 'flatten'}, {type = 'linear', out = 8}, {type = 'spike'}, "
    "{type = 'linear', out = 10}]}",
    "run.on=[]",
    "train.shift=0",
    "train.drop=0",
    "train.epochs=1",
    "train.time_steps=3",
    "train.method=mtt",
)


def test_early_exit_lies_between_the_first_step_and_the_last(tmp_path: Path) -> None:
    recipe = load_recipe(FOLDER.parent / "digits.toml", STILL)
    cache = StageCache(Store(tmp_path), Messages(quiet=True))
    found = MEASURES["early_exit"](cache, recipe, 0, {"samples": 20, "confidence": [0.0, 0.3, 1.1]})
    at = MEASURES["scalability"](cache, recipe, 0, {"steps": [1, 3]})
    assert (found["exit at 0.0: T"], found["exit at 0.0: %"]) == (1, at["T=1"])
    assert (found["exit at 1.1: T"], found["exit at 1.1: %"]) == (3, at["T=3"])
    assert 1 <= found["exit at 0.3: T"] <= 3


def test_a_network_whose_batch_norms_went_into_its_weights_is_measured_without_them(tmp_path: Path) -> None:
    normed = STILL[1].replace("{type = 'spike'}", "{type = 'batchnorm'}, {type = 'spike'}")
    base = "train.base={epochs = 1, learning_rate = 0.01}"
    recipe = load_recipe(FOLDER.parent / "digits.toml", (STILL[0], normed, *STILL[2:], base))
    cache = StageCache(Store(tmp_path), Messages(quiet=True))
    at = MEASURES["scalability"](cache, recipe, 0, {"steps": [3]})
    assert at["T=3"] == MEASURES["trained"](cache, recipe, 0, {})["torch %"]


def test_a_step_is_timed_in_turn_with_one_by_sdt(tmp_path: Path) -> None:
    recipe = load_recipe(FOLDER.parent / "digits.toml", STILL)
    batches = -(-54 // recipe.train.batch)
    assert len(milliseconds(one_epoch(recipe))) == batches - 1
    found = MEASURES["step_time"](StageCache(Store(tmp_path), Messages(quiet=True)), recipe, 0, {"rounds": 2})
    assert found["ms per step"] > 0
    assert found["step time / SDT"] > 0


def test_operations_of_spikes_are_compared_with_those_of_the_network_with_relus(tmp_path):
    """64 pixels, 8 neurons, 10 outputs: 64 * 8 + 8 * 10 MACs; of spikes the last 80 times their share."""
    changes = (
        "data={set = 'digits-images', coding = 'direct', train_samples = 60, test_samples = 20}",
        "network={input = [1, 8, 8], layers = [{type = 'flatten'}, {type = 'linear', out = 8}, {type = 'spike'}, "
        "{type = 'linear', out = 10}]}",
        "run.on=[]",
        "train.shift=0",
        "train.drop=0",
        "train.epochs=2",
        "train.time_steps=2",
        "train.ptl={arm = 'paper', stage_epochs = 3, patience = 1}",
    )
    recipe = load_recipe(FOLDER.parent / "ptl-digits.toml", changes)
    cache = StageCache(Store(tmp_path), Messages(quiet=True))
    found = MEASURES["operations"](cache, recipe, 0, {}) | MEASURES["stages"](cache, recipe, 0, {})
    assert found["kMACs"] == pytest.approx(0.592)
    recording = load_recording(run_trained(cache, train(cache, recipe), recipe).path)
    spikes = recording.counts["fc1"].sum() / len(recording.labels)
    assert 0 < spikes <= 2 * 8
    assert found["kSynOps"] == pytest.approx(0.512 + 10 * spikes / 1e3)
    assert found["SynOps / MACs"] == pytest.approx(found["kSynOps"] / found["kMACs"])
    assert 2 + 3 <= found["stage epochs"] <= 3 + 3
