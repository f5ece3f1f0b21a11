"""What there is to choose from: rules of a chip, data sets and networks that a recipe can name."""

from __future__ import annotations

from typing import Any

from deploytool.chip.chips import chip_named
from deploytool.recipe import ConstraintsSection, NetworkSection


def rules(chip: str | None = None) -> list[str]:
    """Every rule of ``chip``, by default of the one that recipes have, one sentence each, with its numbers."""
    from deploytool.ir.spec.verify import rules_manual

    return rules_manual(chip_named(chip or ConstraintsSection().chip)).splitlines()


def datasets() -> list[dict[str, str]]:
    """The data sets that a recipe can name."""
    from deploytool.data.sets.table import DATASETS

    return [{"data_set": name, "says": source.says} for name, source in DATASETS.items()]


def presets() -> list[dict[str, Any]]:
    """The networks that a recipe can name, with their weights on their usual input and those that their source has."""
    from deploytool.base.arrays import format_shape
    from deploytool.recipe.nodes import weight_count
    from deploytool.recipe.presets.table import PRESETS

    rows = []
    for name, preset in PRESETS.items():
        network = NetworkSection.model_validate({**preset.options, "preset": name, "input": preset.input})
        says = f"{preset.title} ({preset.source})"
        rows.append(
            {
                "preset": name,
                "weights": weight_count(network),
                "in_source": preset.parameters,
                "input": format_shape(preset.input),
                "says": says,
            }
        )
    return rows
