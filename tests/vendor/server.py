"""The vendor's own validator behind a pipe. Runs under CPython 3.10 with samna 0.7.1, as a child of the tests.

Reads one JSON object per line on stdin, a configuration in our terms, and answers each by a line on stdout:

    {"ok": bool, "says": the validator's text, "read": the configuration as samna holds it, in our terms}
    {"refused": why}     what samna takes as no value of the field, or what would crash it

The line {"classes": true} is answered by {name: fields} of every class of configurations, events, devices and graphs.

samna.speck2b is the oldest of the family that works without a network; it knows no readout layer behind core 8.
"""

import json
import os
import re
import sys

ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # samna prints while it is imported

import samna  # noqa: E402
import samna.speck2b  # noqa: E402
import samna.speck2b.configuration as vendor  # noqa: E402
import samna.speck2b.event  # noqa: E402

CORES = 9
KILL_BITS = {
    "weights": "weights_kill_bit",
    "biases": "biases_kill_bit",
    "neurons_initial_value": "neurons_value_kill_bit",
}
ONLY_THE_VENDORS = {*KILL_BITS.values(), "monitor_sensor_enable"}


def crashes(configuration):
    """Why samna 0.7.1 would die of this configuration; None when it would not."""
    layers = [layer for layer in configuration["cnn_layers"] if layer]
    if any(not layer["weights"] for layer in layers):
        return "no weights"
    destinations = [d for layer in [*layers, configuration["dvs_layer"]] for d in layer["destinations"]]
    if any(d["enable"] and not 0 <= d["layer"] < CORES for d in destinations):
        return "a destination that is no core"
    if 0 in configuration["dvs_layer"]["pooling"].values() or any(d.get("pooling") == 0 for d in destinations):
        return "a pooling of 0"
    return None


def fill(target, values):
    for key, value in values.items():
        if isinstance(value, dict):
            fill(getattr(target, key), value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for part, inner in zip(getattr(target, key), value, strict=True):
                fill(part, inner)
        else:
            setattr(target, key, value)
            if key in KILL_BITS:
                setattr(target, KILL_BITS[key], without_kills(value))


def without_kills(values):
    return [without_kills(value) for value in values] if isinstance(values, list) else False


def plain(value):
    """A part of samna's JSON in our terms: snake case, lists instead of value0.., nested instead of flat arrays."""
    if not isinstance(value, dict):
        return value
    if set(value) == {"dimensions", "offsets", "values"}:
        return nested(value["values"], list(value["dimensions"].values()))
    if value and all(re.fullmatch(r"value\d+", key) for key in value):
        return [plain(item) for item in value.values()]
    named = {re.sub(r"[A-Z]", lambda found: "_" + found.group().lower(), key): item for key, item in value.items()}
    return {key: plain(item) for key, item in named.items() if key not in ONLY_THE_VENDORS}


def nested(values, sizes):
    for size in reversed(sizes[1:]):
        values = [values[i : i + size] for i in range(0, len(values), size)]
    return values


def read(part):
    (content,) = plain(json.loads(part.to_json()))
    return content


def answer(configuration):
    reason = crashes(configuration)
    if reason:
        return {"refused": reason}
    loaded = vendor.SpeckConfiguration()
    try:
        for core, layer in enumerate(configuration["cnn_layers"]):
            if layer:
                fill(loaded.cnn_layers[core], {key: value for key, value in layer.items() if key != "name"})
        fill(loaded.dvs_layer, configuration["dvs_layer"])
    except (TypeError, RuntimeError) as error:
        return {"refused": str(error).splitlines()[0]}
    ok, says = samna.speck2b.validate_configuration(loaded)
    layers = [
        read(loaded.cnn_layers[core]) if layer else None for core, layer in enumerate(configuration["cnn_layers"])
    ]
    return {"ok": ok, "says": says, "read": {"cnn_layers": layers, "dvs_layer": read(loaded.dvs_layer)}}


def classes():
    modules = (vendor, samna.speck2b.event, samna.device, samna.graph)
    found = {name: value for module in modules for name, value in vars(module).items() if isinstance(value, type)}
    return {name: [field for field in dir(value) if not field.startswith("_")] for name, value in found.items()}


for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps(classes() if "classes" in asked else answer(asked)), file=ANSWERS)
