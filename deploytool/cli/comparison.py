"""The output of `compare` on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deploytool.base.numbers import figure
from deploytool.ir.comparison import ChangedAnswer, Details, NeuronDifference
from deploytool.ir.divergence import LayerDivergence
from deploytool.ir.verdict import Difference, SpikeDifference, Verdict
from deploytool.validate.cost import cost_lines

CHANGED = 10
"""Samples with another answer that are listed."""


def comparison_for_terminal(verdict: Verdict, layers: bool) -> dict[str, Any]:
    """A comparison for a terminal: what was compared, how far apart the runs are, and why.

    With ``layers`` every explained sample has the first difference of every layer.
    """
    (pair,), details = verdict.differences, verdict.differences[0].details
    assert details is not None
    parts: dict[str, Any] = {
        "reference": f"{pair.reference} ({verdict.rungs[0].recording})",
        "test": f"{pair.test} ({verdict.rungs[1].recording})",
        "networks": details.networks,
        "differences between them": pair.says,
        **_answers(pair, details.changed),
        "spike difference": [_row("output", pair.output), *(_row(each.layer, each) for each in pair.layers)],
        **cost_lines(verdict.rungs),
        "only in one of them": list(pair.not_compared),
        "other answers": [_answer(each) for each in details.changed[:CHANGED]],
        "neurons that differ most": [_neuron(each) for each in _worst(details, 5 if layers else 2)],
        **_timing(details),
        "why": [each.says for each in details.explained],
        "not explained": details.not_explained,
    }
    if layers:
        for each in details.explained:
            parts[f"layers of sample {each.sample}"] = [_layer(layer) for layer in each.layers]
    return {name: part for name, part in parts.items() if part not in ("", [], ())}


def _answers(pair: Difference, changed: Sequence[ChangedAnswer]) -> dict[str, str]:
    """How alike the answers are: the values that were read, or else the classes."""
    if (values := pair.values) is not None:
        unit = f" {values.unit}" if values.unit else ""
        apart = f"{figure(values.rms)}{unit} apart (root mean square), {figure(values.bias)}{unit} on average"
        return {"values": f"{apart}; equal in {figure(values.equal)} % of the windows"}
    if pair.agreement is None:
        return {"same answer": "not known"}
    samples = pair.output.samples
    return {"same answer": f"{samples - len(changed)} of {samples} samples ({figure(pair.agreement)} %)"}


def _row(name: str, difference: SpikeDifference) -> dict[str, Any]:
    return {
        "layer": name,
        "pooled %": "undefined" if difference.pooled is None else difference.pooled,
        "mean %": "undefined" if difference.mean is None else difference.mean,
        "equal counts %": difference.exact_counts,
        "equal neurons": f"{difference.exact_neurons} of {difference.neurons}",
    }


def _answer(changed: ChangedAnswer) -> dict[str, Any]:
    return {
        "sample": changed.sample,
        "name": changed.name,
        "label": changed.label if changed.label >= 0 else None,
        "reference": _class(changed.reference),
        "test": _class(changed.test),
    }


def _class(answer: int) -> str:
    return "no spike" if answer < 0 else str(answer)


def _worst(details: Details, number: int) -> list[NeuronDifference]:
    """At most ``number`` neurons of each layer."""
    by_layer: dict[str, list[NeuronDifference]] = {}
    for each in details.worst:
        by_layer.setdefault(each.neuron.layer, []).append(each)
    return [each for listed in by_layer.values() for each in listed[:number]]


def _neuron(worst: NeuronDifference) -> dict[str, Any]:
    place = worst.neuron
    return {
        "layer": place.layer,
        "feature": place.feature,
        "row": place.row,
        "column": place.column,
        "spikes in reference": worst.reference,
        "in test": worst.test,
        "distance": worst.distance,
        "in samples": worst.samples,
    }


def _timing(details: Details) -> dict[str, Any]:
    timing = details.timing
    if timing is None:
        return {"spike times": details.no_timing}
    samples = f"{len(timing.samples)} sample{'s' * (len(timing.samples) > 1)}"
    scale = f"Victor-Purpura: {timing.q_per_ms:g} per ms, van Rossum: tau {timing.tau_ms:g} ms"
    title = f"spike times of {samples} ({scale})"
    return {
        title: [
            {
                "layer": each.layer,
                "spikes in both": each.spikes,
                "Victor-Purpura": each.victor_purpura,
                "of the largest possible %": "undefined"
                if each.victor_purpura_percent is None
                else each.victor_purpura_percent,
                "van Rossum": each.van_rossum,
            }
            for each in timing.layers
        ]
    }


def _layer(layer: LayerDivergence) -> dict[str, Any]:
    place = layer.neuron
    return {
        "layer": layer.layer,
        "first difference": "none" if layer.t_us is None else f"{layer.t_us / 1000:.3f} ms",
        "time step": layer.step,
        "neuron": "-" if place is None else f"{place.feature}, {place.row}, {place.column}",
        "spikes": "-" if place is None else f"{layer.spikes[0]} against {layer.spikes[1]}",
        "in the sample": f"{layer.totals[0]} against {layer.totals[1]}",
        "reason": " and ".join(layer.reasons) or "-",
    }
