"""The rules about neurons."""

from __future__ import annotations

from typing import Final

import numpy as np

from deploytool.convert.nir.lint.importers import JELLY, NORSE, SINABS, SNNTORCH
from deploytool.convert.nir.lint.rule import Node, Rule, always
from deploytool.convert.nir.neurons import NEURONS

STEP_S: Final = 1e-4
"""The time step that snnTorch and SpikingJelly assume."""


def _floor_beside_threshold(node: Node) -> bool:
    floor = node.fields.stated.get("floor")
    return floor is None or not node.close("v_threshold", -float(floor))


def _leaky_r_unfit(node: Node) -> bool:
    tau_steps = node.array("tau") / STEP_S
    return bool(np.any(tau_steps <= 1)) or not (node.close("r", 1.0) or node.close("r", tau_steps))


def _synapse_unfit(node: Node) -> bool:
    return not (node.close("r", node.array("tau_mem") / STEP_S) and node.close("w_in", node.array("tau_syn") / STEP_S))


NEURON_RULES: Final = (
    Rule(("sinabs",), ("IF", "LIF"), lambda n: n.has("r", 1), "alter", "r is ignored", SINABS),
    Rule(("sinabs",), ("IF",), _floor_beside_threshold, "alter", "gets a floor of -v_threshold", SINABS),
    Rule(
        ("sinabs",),
        ("IF", "LIF"),
        lambda n: n.states("reset", "zero"),
        "alter",
        "subtracts the threshold on reset",
        "sinabs/layers/iaf.py, lif.py",
    ),
    Rule(
        ("sinabs",),
        ("IF", "LIF"),
        lambda n: n.states("at_most_one", True),
        "alter",
        "can fire several times per time step",
        "sinabs/layers/iaf.py, lif.py (MultiSpike)",
    ),
    Rule(("sinabs",), ("LIF", "LI"), lambda n: n.has("v_leak", 0), "refuse", "ValueError: v_leak", SINABS),
    Rule(("sinabs",), ("LI",), lambda n: n.has("r", 1), "refuse", "ValueError: r", SINABS),
    Rule(
        ("sinabs",),
        ("LIF", "LI"),
        always,
        "alter",
        "reads tau, in seconds, as a number of time steps",
        f"{SINABS}; sinabs/layers/lif.py alpha_mem_calculated",
    ),
    Rule(
        ("sinabs",),
        ("LIF",),
        lambda n: n.fields.stated.get("floor") is not None,
        "alter",
        "the floor is ignored",
        SINABS,
    ),
    Rule(
        ("sinabs", "snnTorch", "Norse", "SpikingJelly"),
        NEURONS,
        lambda n: "v_init" in n.fields.stated,
        "alter",
        "the membrane starts at 0 instead of v_init",
        f"{SINABS}; {SNNTORCH}; {NORSE}; {JELLY}",
    ),
    Rule(
        ("snnTorch",),
        ("IF",),
        always,
        "alter",
        "leaks with beta 0.9, and running the model raises an error",
        SNNTORCH,
    ),
    Rule(("snnTorch",), ("IF",), lambda n: n.has("r", 1), "refuse", "AssertionError: r != 1", SNNTORCH),
    Rule(
        ("snnTorch",),
        ("IF", "LIF"),
        lambda n: n.differs("v_threshold"),
        "refuse",
        "AssertionError: thresholds differ",
        SNNTORCH,
    ),
    Rule(
        ("snnTorch",),
        ("IF",),
        lambda n: n.states("reset", "zero"),
        "alter",
        "subtracts the threshold on reset",
        "snntorch/_neurons/leaky.py",
    ),
    Rule(("snnTorch",), ("LIF", "CubaLIF"), lambda n: n.has("v_leak", 0), "refuse", "AssertionError: v_leak", SNNTORCH),
    Rule(
        ("snnTorch",),
        ("CubaLIF",),
        lambda n: not n.close("r", n.array("tau_mem") / STEP_S),
        "refuse",
        "AssertionError: r is not tau_mem / 0.1 ms",
        SNNTORCH,
    ),
    Rule(
        ("snnTorch",), ("LIF", "CubaLIF"), lambda n: n.states("reset", "subtract"), "alter", "resets to zero", SNNTORCH
    ),
    Rule(("snnTorch",), ("LIF", "CubaLIF"), always, "alter", "Euler's method with a time step of 0.1 ms", SNNTORCH),
    Rule(("Norse",), ("IF", "LIF"), lambda n: n.has("r", 1), "alter", "r is ignored, with a warning", NORSE),
    Rule(
        ("Norse",),
        ("LIF", "CubaLIF"),
        always,
        "alter",
        "Euler's method with a time step of 1 ms, unless dt is given",
        f"{NORSE}; norse/torch/functional/lif_box.py",
    ),
    Rule(("Norse",), ("CubaLIF",), lambda n: n.has("v_leak", 0), "alter", "the synapse leaks to v_leak as well", NORSE),
    Rule(
        ("SpikingJelly",),
        ("IF",),
        lambda n: not n.close("r", 1 / STEP_S),
        "refuse",
        "ValueError: r is not 1 / dt",
        f"{JELLY} map_if",
    ),
    Rule(
        ("SpikingJelly",),
        NEURONS,
        lambda n: n.differs("r", "tau", "tau_mem", "tau_syn", "v_leak", "v_threshold", "v_reset", "w_in"),
        "refuse",
        "ValueError: parameters of the neurons differ",
        f"{JELLY} _uniform_scalar",
    ),
    Rule(
        ("SpikingJelly",),
        ("LIF",),
        _leaky_r_unfit,
        "refuse",
        "ValueError: r is neither 1 nor tau / dt, or tau <= dt",
        f"{JELLY} map_lif",
    ),
    Rule(
        ("SpikingJelly",),
        ("LIF",),
        lambda n: not np.allclose(n.array("v_leak"), n.array("v_reset")),
        "refuse",
        "ValueError: v_leak is not v_reset",
        f"{JELLY} map_lif",
    ),
    Rule(
        ("SpikingJelly",),
        ("CubaLIF",),
        _synapse_unfit,
        "refuse",
        "ValueError: r is not tau_mem / dt, or w_in not tau_syn / dt",
        f"{JELLY} map_cuba_lif",
    ),
    Rule(
        ("SpikingJelly",),
        ("CubaLIF",),
        lambda n: n.has("v_leak", 0),
        "refuse",
        "ValueError: v_leak",
        f"{JELLY} map_cuba_lif",
    ),
    Rule(
        ("SpikingJelly",),
        ("LIF", "CubaLIF"),
        always,
        "alter",
        "Euler's method with a time step of 0.1 ms, unless dt is given",
        f"{JELLY} map_lif, map_cuba_lif",
    ),
    Rule(
        ("Norse", "SpikingJelly"),
        NEURONS,
        lambda n: n.states("reset", "subtract"),
        "alter",
        "resets to a fixed value",
        f"{NORSE}; norse/torch/functional/iaf.py; {JELLY}",
    ),
    Rule(
        ("snnTorch", "Norse"),
        NEURONS,
        lambda n: n.has("v_reset", 0),
        "alter",
        "v_reset is ignored",
        f"{SNNTORCH}; {NORSE}",
    ),
    Rule(
        ("snnTorch", "Norse", "SpikingJelly"),
        NEURONS,
        lambda n: n.fields.stated.get("floor") is not None,
        "alter",
        "the floor is ignored",
        f"{SNNTORCH}; {NORSE}; {JELLY}",
    ),
    Rule(
        ("snnTorch", "Norse", "SpikingJelly"),
        NEURONS,
        lambda n: n.states("at_most_one", False),
        "alter",
        "fires at most once per time step",
        f"{SNNTORCH}; {NORSE}; {JELLY}",
    ),
)
"""In report order."""
