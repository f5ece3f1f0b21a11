"""Small trainings of every method, the same everywhere, in a process of their own; it prints the digests of the models.

python -m helpers.trainings STORE THREADS NAME...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from deploytool.base.messages import Messages
from deploytool.recipe import Recipe, parse_recipe
from deploytool.store.artifact import Store
from deploytool.store.cache import StageCache
from deploytool.train.everywhere import before_torch_is_loaded
from deploytool.workflow.train import train

SPIKE = {"type": "spike"}
NORM = {"type": "batchnorm"}
END = [{"type": "flatten"}, {"type": "linear", "out": 10}, SPIKE]


def conv(out: int, stride: int = 1) -> dict[str, Any]:
    return {"type": "conv", "out": out, "kernel": 3, "padding": 1, "stride": stride}


PLAIN = [conv(8), SPIKE, {"type": "sumpool", "kernel": 2}, *END]
NORMED = [conv(8), NORM, SPIKE, {"type": "sumpool", "kernel": 2}, *END]
LARGE = [conv(32), NORM, SPIKE, {"type": "sumpool", "kernel": 2}, conv(1024, 2), NORM, SPIKE, *END]
"""Its second layer has 294,912 weights, for which torch has the convolution."""

TRAININGS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "sdt": (PLAIN, {"augment": {"shift": 1, "drop": 0.2}}),
    "large": (LARGE, {"epochs": 1}),
    "exponential": (NORMED, {"surrogate": "exponential", "optimizer": "sgd", "clip_relative": 0.1}),
    "tet": (PLAIN, {"loss": "tet-prefix", "label_smoothing": 0.1, "clip_norm": 1.0, "average": 0.5}),
    "tit": (PLAIN, {"method": "tit", "tit": [[2, 1], [4, 1]]}),
    "nmt": (NORMED, {"method": "nmt", "t_min": 2, "optimizer": "lamb"}),
    "mtt": (NORMED, {"method": "mtt", "t_min": 2, "ttm": "soft", "base": {"epochs": 1, "learning_rate": 0.01}}),
    "ptl": (NORMED, {"method": "ptl"}),
    "trev": (PLAIN, {"method": "trev"}),
    "events": (PLAIN, {"method": "events", "events": {"windows": [2, 8]}}),
    "taught": (PLAIN, {"method": "events", "teacher": {"epochs": 2, "batch": 20, "features": 8}}),
}
"""{name: (layers, keys of [train])}."""


def recipe(name: str, deterministic: str = "everywhere") -> Recipe:
    layers, keys = TRAININGS[name]
    steps = {"time_steps": 4, "epochs": 2, "batch": 20, "learning_rate": 0.01}
    return parse_recipe(
        {
            "name": name,
            "data": {"set": "digits", "train_samples": 80, "test_samples": 20},
            "network": {"input": [2, 16, 16], "layers": layers},
            "constraints": {"floor": float("-inf")},
            "train": {**steps, **keys, "deterministic": deterministic},
            "run": {"on": []},
        },
        "test",
    )


def main() -> None:
    store, threads, *names = sys.argv[1:]
    before_torch_is_loaded(recipe(names[0]).train)
    import torch

    torch.set_num_threads(int(threads))
    cache = StageCache(Store(Path(store)), Messages(quiet=True))
    print(json.dumps({name: train(cache, recipe(name)).digest for name in names}))


if __name__ == "__main__":
    main()
