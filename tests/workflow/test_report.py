"""The verb report: where its page goes, what it replays, and that its commands and recipe give the same again."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from helpers.command import answer, invoke, network

from deploytool.base.errors import ArtifactError
from deploytool.convert.nir import write_nir
from deploytool.store.artifact import Store
from deploytool.workflow.sources.recordings import load
from deploytool.workflow.stored.replay import replay
from deploytool.workflow.stored.reproduce import recipe_name, recipe_text


def page_of(folder: Path, *options: object) -> str:
    made = answer(invoke(folder, "report", "verdict@latest", "--json", *options))
    return Path(made["page"]).read_text(encoding="utf-8")


def test_the_page_goes_to_a_file_or_a_folder(made: Path, tmp_path: Path) -> None:
    html = page_of(made, "--title", "A title", "--output", tmp_path / "new" / "page.html")
    assert (tmp_path / "new" / "page.html").read_text(encoding="utf-8") == html
    assert "<h1>A title</h1>" in html
    shown = answer(invoke(made, "report", "verdict@latest", "--title", "A title", "-o", tmp_path, "--json"))
    assert shown["copy"] == str(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html
    assert json.loads((tmp_path / "report.json").read_text())["verdict"]["passed"] is True


def test_an_output_that_cannot_be_written_is_refused(made: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = invoke(made, "report", "verdict@latest", "--output", tmp_path / "file" / "page.html")
    assert result.exit_code == 4
    assert "cannot be written" in result.stderr


def test_a_report_that_fails_leaves_no_folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ArtifactError("page", "damaged", "a whole one")

    monkeypatch.setattr("deploytool.workflow.report._write", fails)
    page = tmp_path / "new" / "deep" / "page.html"
    result = invoke(made, "report", "verdict@latest", "--title", "Another", "-o", page)
    assert result.exit_code == 4
    assert not (tmp_path / "new").exists()


def test_the_page_names_no_folder_of_the_machine(made: Path) -> None:
    html = page_of(made)
    assert str(made) not in html
    assert not re.search(r"/(home|root|tmp|work|Users|usr)/", html)


def test_every_chosen_sample_has_its_spikes(made: Path) -> None:
    """Only those of the first two were kept; the others are replayed."""
    html = page_of(made, "--samples", 6)
    shown = [int(number) for number in re.findall(r'id="sample-(\d+)"', html)]
    assert len(shown) == 6
    assert max(shown) >= 2
    assert html.count('<div class="player">') == 6
    assert "were not kept" not in html


def test_a_replay_is_what_was_recorded(made: Path) -> None:
    store = Store(made / "store")
    for path in store.folders("recording"):
        artifact = store.get(str(path))
        recorded = load(store, artifact)
        again = replay(store, artifact, recorded, [7, 3])
        if recorded.rung == "torch":
            assert again is None
            continue
        assert again is not None
        assert again.samples == (recorded.samples[7], recorded.samples[3])
        for layer, counts in recorded.counts.items():
            assert np.array_equal(again.counts[layer], counts[[7, 3]])
            assert len(again.spikes[layer]) == counts[[7, 3]].sum()


def test_the_recipe_on_the_page_makes_the_same_artifacts(made: Path, tmp_path: Path) -> None:
    html = page_of(made, "--title", "small")
    assert "deploytool pipeline small.toml" in html
    (recipe,) = re.findall(r"<summary>The recipe</summary>\n<pre.*?><code>(.*?)</code>", html, re.S)
    (tmp_path / "small.toml").write_text(unescape(recipe), encoding="utf-8")
    newest = Store(made / "store").get("verdict@latest").name
    again = answer(invoke(made, "pipeline", tmp_path / "small.toml", "--json"))
    assert again["artifact"] == newest


def test_without_a_model_the_steps_are_named_and_give_the_same(tmp_path: Path) -> None:
    write_nir(network(padding=(1, 1)), tmp_path / "net.nir")
    invoke(tmp_path, "map", tmp_path / "net.nir", "--no-split", "--pin", "conv=2")
    for on in ("emulator", "quantised"):
        steps = ("--time-steps", 5) if on == "quantised" else ()
        invoke(tmp_path, "run", "program@latest", "--on", on, "--data", "digits", "--samples", 10, *steps)
    store = Store(tmp_path / "store")
    recordings = [path.name for path in store.folders("recording")]
    invoke(tmp_path, "validate", recordings[0], "--against", recordings[1], "--max-spike-difference", 400)
    html = page_of(tmp_path)
    lines = [unescape(line) for line in re.findall(r"<pre class=\"command\"><code>(deploytool [^<]*)</code>", html)]
    assert [line.split()[1] for line in lines] == ["map", "run", "run", "validate"]
    for line in lines:
        words = shlex.split(line)[1:]
        made = answer(invoke(tmp_path, *words, "--json"))
        assert made["artifact"] in {path.name for path in store.folders()}
    assert len(store.folders("recording")) == 2
    assert len(store.folders("program", "verdict")) == 2


def test_a_recipe_has_no_folder_of_the_machine(made: Path) -> None:
    store = Store(made / "store")
    model = store.get("model@latest")
    data = {**model.manifest.recipe["data"], "root": "/home/somebody/data"}
    manifest = model.manifest.model_copy(update={"recipe": {**model.manifest.recipe, "data": data}})
    text = recipe_text([type(model)(model.path, manifest)], "small")
    assert tomllib.loads(text)["data"]["root"] == "data"


@pytest.mark.parametrize(
    ("title", "name"), [("Digits, again", "Digits-again"), ("<>", "recipe"), ("a.b_c-1", "a.b_c-1")]
)
def test_a_title_becomes_the_name_of_a_recipe(title: str, name: str) -> None:
    assert recipe_name(title) == name


def test_sweeps_of_the_network_are_shown(made: Path) -> None:
    assert "deploytool sweep model-" in page_of(made, "--title", "curves")
    answer(invoke(made, "sweep", "model@latest", "--time-steps", "1,2", "--json"))
    html = page_of(made, "--title", "curves")
    assert "Accuracy (%) against time steps per sample" in html
    assert "deploytool sweep model-" not in html


def test_the_first_divergence_of_the_deployed_and_the_trained_network_is_explained(made: Path) -> None:
    html = page_of(made, "--title", "divergence")
    assert re.search(r"emulator.* and .*(torch|quantised).* first differ in", html)
    assert "Membrane of the neuron at feature" in html
    assert html.count("First difference of each layer in sample") == 3


def test_a_comparison_has_a_report_too(made: Path) -> None:
    judged = answer(invoke(made, "pipeline", made / "recipe.toml", "--json"))
    names = [rung["recording"] for rung in judged["rungs"] if rung["name"] in ("quantised", "emulator")]
    compared = answer(invoke(made, "compare", *names, "--json"))
    html = Path(answer(invoke(made, "report", compared["artifact"], "--json"))["page"]).read_text(encoding="utf-8")
    assert "No verdict" in html
    assert f"deploytool compare {names[0]} {names[1]}" in html


def test_a_report_does_not_depend_on_which_sweep_was_made_last(made: Path) -> None:
    sweeps = [("sweep", "model@latest", "--time-steps", steps, "--json") for steps in ("1", "2")]
    names = [answer(invoke(made, *sweep))["artifact"] for sweep in sweeps]
    first = answer(invoke(made, "report", "verdict@latest", "--json"))["artifact"]
    shutil.rmtree(made / "store" / names[0])
    assert answer(invoke(made, *sweeps[0]))["artifact"] == names[0]
    assert answer(invoke(made, "report", "verdict@latest", "--json"))["artifact"] == first
