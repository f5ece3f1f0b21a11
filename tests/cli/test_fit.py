"""The output of `check` on a terminal: what is in the way comes first, and nothing empty is shown."""

from __future__ import annotations

from typing import Any

import pytest

from deploytool.cli.fit import fit_for_terminal

NOTHING: dict[str, Any] = {
    "chip": "speck2e",
    "fits": True,
    "issues": [],
    "refused_later": [],
    "warnings": [],
    "suggestions": [],
    "splits": [],
    "growth": [],
    "layers": [],
}


def layer(**changes: Any) -> dict[str, Any]:
    return {"name": "conv", "kernel_words": 9, "neuron_words": 64, "fits_cores": [0], "core": 0, **changes}


def test_a_network_that_fits_has_one_line() -> None:
    assert fit_for_terminal(NOTHING) == {"network": "fits speck2e"}


def test_what_is_in_the_way_comes_first() -> None:
    issues = [{"says": "conv: a stride of 3.", "hint": "Use 1, 2, 4 or 8."}]
    shown = fit_for_terminal(NOTHING | {"fits": False, "issues": issues, "layers": [layer(core=None)]})
    assert list(shown) == ["network", "problems", "layers"]
    assert shown["network"] == "does not fit speck2e: 1 problem"
    assert shown["problems"] == ["conv: a stride of 3. Use 1, 2, 4 or 8."]


def test_weights_that_map_refuses_are_no_issue_of_the_geometry() -> None:
    later = [{"command": "map", "says": "conv: too large."}]
    shown = fit_for_terminal(NOTHING | {"fits": False, "refused_later": later})
    assert shown == {"network": "fits speck2e, and map refuses its weights", "refused later": ["map: conv: too large."]}


@pytest.mark.parametrize(
    ("cores", "shown"),
    [([], "none"), ([3], "3"), ([0, 1, 2, 5], "0-2, 5"), ([0, 2, 3, 7, 8], "0, 2-3, 7-8"), (range(9), "0-8")],
)
def test_cores_are_shown_as_ranges(cores: Any, shown: str) -> None:
    rows = fit_for_terminal(NOTHING | {"layers": [layer(fits_cores=list(cores))]})["layers"]
    assert rows[0]["fits cores"] == shown
