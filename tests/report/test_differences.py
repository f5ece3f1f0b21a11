"""Differences on the page: the pair of the headline, and maps of every neuron."""

from __future__ import annotations

import numpy as np
from helpers import report_example as example

from deploytool.recipe import ValidateSection
from deploytool.report.differences import difference_maps, main_difference
from deploytool.validate.ladder import judge


def test_the_main_difference_is_that_of_the_deployed_from_the_trained_network() -> None:
    runs = {run.rung: run for run in example.recordings("torch", "simulator", "emulator")}
    pair = main_difference(judge(runs, ValidateSection()))
    assert pair
    assert (pair.reference, pair.test) == ("emulator", "torch")
    del runs["torch"]
    pair = main_difference(judge(runs, ValidateSection()))
    assert pair
    assert (pair.reference, pair.test) == ("emulator", "simulator")
    assert main_difference(judge({"emulator": runs["emulator"]}, ValidateSection())) is None


def test_every_layer_has_a_map_of_the_spikes_of_all_samples() -> None:
    runs = {run.rung: run for run in example.recordings("torch", "emulator")}
    maps = difference_maps(main_difference(judge(runs, ValidateSection())), runs)
    counts = {name: found.counts["conv1"].sum(axis=0) for name, found in runs.items()}
    change = counts["torch"] - counts["emulator"]
    more, fewer = int(change[change > 0].sum()), -int(change[change < 0].sum())
    assert [image.caption.partition(":")[0] for image in maps] == ["conv1", "conv2", "conv3", "fc1"]
    assert maps[0].caption.startswith(f"conv1: {more:,} more, {fewer:,} fewer, within ±{int(np.abs(change).max())}")
    assert difference_maps(main_difference(judge(runs, ValidateSection())), {"torch": runs["torch"]}) == []
