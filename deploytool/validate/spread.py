"""The spread that a perturbation causes: how far repeated runs are from the unperturbed one, and from each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deploytool.base.numbers import rounded
from deploytool.ir.recording import Recording
from deploytool.validate import metrics


def spread(plain: Recording, repeats: Sequence[Recording]) -> dict[str, Any]:
    """Accuracy of the ``plain`` run in %, and over all ``repeats`` the accuracy and the spike difference from it.

    Each as mean, standard deviation (of the sample, N - 1), minimum and maximum; None if not known.
    Raises InputError when the samples differ.
    """
    return {
        "repeats": len(repeats),
        "accuracy_unperturbed_percent": rounded(metrics.accuracy(plain)),
        "spread": [
            {"of": "accuracy, % of labelled samples", **_summary([metrics.accuracy(each) for each in repeats])},
            {
                "of": "spike difference at the output, % pooled, from the unperturbed run",
                **_summary([metrics.spike_difference(plain, each).pooled for each in repeats]),
            },
            {
                "of": "same prediction as the unperturbed run, % of samples",
                **_summary([metrics.agreement(plain, each) for each in repeats]),
            },
        ],
    }


def _summary(values: Sequence[float | None]) -> dict[str, float | None]:
    known = np.array([value for value in values if value is not None])
    if len(known) < len(values) or not len(known):
        return dict.fromkeys(("mean", "sd", "min", "max"))
    deviation = float(known.std(ddof=1)) if len(known) > 1 else None
    return {
        "mean": rounded(float(known.mean())),
        "sd": rounded(deviation),
        "min": rounded(float(known.min())),
        "max": rounded(float(known.max())),
    }
