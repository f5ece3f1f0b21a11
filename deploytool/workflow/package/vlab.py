"""The files from which a user makes the bundle of the dAIEDGE VLab, a remote laboratory with Speck boards.

The laboratory takes a network as a torch file {"model", "input_shape"} and samples as a list of lists of samna's
DvsEvent, both as pickles: https://vlab.daiedge.eu/doc/user/targets/speck_dev_kit/. deploytool writes no pickle. The
script in the package does, on the user's machine, and says so.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from deploytool.base.errors import UnsupportedError
from deploytool.ir.program import Program

POLARITIES: Final = 2
"""Features of events of a sensor."""


def require_chain(program: Program) -> None:
    """Raises UnsupportedError unless ``program`` is what the script can write as a torch Sequential."""
    problems = []
    if program.input_shape[0] > POLARITIES:
        found = f"an input of {program.input_shape[0]} features"
        problems.append(UnsupportedError("--vlab", found, "1 or 2, because the laboratory takes events of a sensor"))
    for name, layer in program.layers.items():
        feeders = program.feeders(name)
        if layer.part_of or len(feeders) != 1 or feeders[0][1].feature_shift or len(layer.routes) > 1:
            problems.append(UnsupportedError("--vlab", f"layer {name!r} is split or branches", "a chain of layers"))
        if np.any(layer.neurons.v_init):
            found = f"neurons of {name!r} that do not start at 0"
            problems.append(UnsupportedError("--vlab", found, "neurons that start at 0"))
    if len(program.input_routes) != 1:
        problems.append(UnsupportedError("--vlab", "an input that goes to several layers", "a chain of layers"))
    if problems:
        raise UnsupportedError.together(problems)
