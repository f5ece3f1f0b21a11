"""What runs cost, in lines for a person."""

from __future__ import annotations

from dataclasses import replace

from deploytool.ir.verdict import CoreLoad, Decision, Rung
from deploytool.validate.cost import cost_lines

NOTHING = replace(Rung.not_run("torch"), status="run", energy="not estimated: the run is not on a chip")
KNOWN = replace(
    Rung.not_run("emulator"),
    status="run",
    energy="5 uJ per sample",
    energy_uj=5.0,
    decision=Decision(1200, 8.8, 2.56, 88.123, 75.0),
    load=(CoreLoad("fc", "fc", 1, 2.0, 3.0, 4.0),),
    busiest_core="core 1 (fc) is the busiest",
)


def test_a_line_for_every_run() -> None:
    assert cost_lines([NOTHING, KNOWN, Rung.not_run("board")]) == {
        "energy": ["torch: not estimated: the run is not on a chip", "emulator: 5 uJ per sample"],
        "time to decision": [
            "torch: not known: it was not measured",
            "emulator: 8.80 ms (median of 1,200 samples, 2.56 to 88.12), from the first input event to the output "
            "spike after which the answer never changes",
        ],
        "busiest core": ["torch: not known: it was not measured", "emulator: core 1 (fc) is the busiest"],
    }


def test_measures_that_no_run_knows_are_left_out() -> None:
    assert cost_lines([NOTHING]) == {}
