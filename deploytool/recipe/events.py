"""[train.events]: training on events themselves."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from pydantic import Field, PositiveInt

from deploytool.base.errors import RecipeError
from deploytool.recipe.section import Section


class EventsSection(Section):
    """[train.events]: training on the spikes of the chip's emulator, which run event by event without time steps."""

    windows: tuple[PositiveInt, ...] = Field(
        (8, 16, 64, 256),
        min_length=1,
        description="Number of windows of equal time in which gradients follow the membranes of each layer with "
        "weights; the last number also counts for all further layers. Each is a multiple of the number before it. Only "
        "the gradient depends on them.",
    )

    def conflicts(self) -> Iterator[RecipeError]:
        if any(after % before for before, after in itertools.pairwise(self.windows)):
            found = f"found {list(self.windows)}"
            yield RecipeError("windows", found, "numbers each of which is a multiple of the one before")

    def of_layers(self, count: int) -> tuple[int, ...]:
        """The numbers of windows of the first ``count`` layers with weights."""
        last = self.windows[-1]
        return tuple(itertools.islice(itertools.chain(self.windows, itertools.repeat(last)), count))
