"""The load of the cores, and what is said of the busiest."""

from __future__ import annotations

from dataclasses import replace

from helpers.recordings import TWO_SAMPLES as RUN

from deploytool.ir.recording import Load
from deploytool.ir.verdict import CoreLoad
from deploytool.validate.load import core_loads, load_sentence


def test_a_row_per_core() -> None:
    """400 updates in 4 s; 30 in one ms, 40 in ten."""
    loads = core_loads(replace(RUN, load={"fc.1": Load("fc", 4, 400, 30, 40)}))
    assert loads == (CoreLoad("fc", "fc.1", 4, 100.0, 30_000.0, 4_000.0),)


def test_the_busiest_core_in_one_line() -> None:
    loads = core_loads(
        replace(RUN, load={"conv": Load("conv", 0, 9, 2_000, 9_000), "fc": Load("fc", 4, 4_000_000, 5_500, 6_000)})
    )
    says = load_sentence(loads)
    assert says.startswith(
        "core 4 (fc) is the busiest: 5.50 M SynOps/s in its busiest ms, 0.60 in its busiest 10 ms, 1.00 on average; "
    )
    assert "a DynapCNN at CVPRW 2019 reached about 200 M" in says
    assert "Split" not in says


def test_above_the_demonstration_it_says_what_to_do() -> None:
    says = load_sentence(core_loads(replace(RUN, load={"conv": Load("conv", None, 10**6, 200_001, 10**6)})))
    assert says.startswith("conv is the busiest: 200.00 M")
    for way in ("Split the layer", "pool or stride", "output decimator"):
        assert way in says


def test_a_run_that_did_not_record_it() -> None:
    assert core_loads(RUN) == ()
    assert load_sentence(()) == "not known: the run did not record it"
