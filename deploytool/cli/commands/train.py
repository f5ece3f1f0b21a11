"""The command train."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploytool.cli.command import command
from deploytool.cli.options import (
    DownloadOption,
    RecipeArgument,
    SetOption,
    TensorBoardOption,
    overrides,
)

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation


@command("deploytool train recipes/digits.toml --set train.epochs=3")
def train(
    invocation: Invocation,
    recipe: RecipeArgument,
    set_: SetOption = None,
    download: DownloadOption = False,
    tensorboard: TensorBoardOption = None,
) -> None:
    """Train the network of a recipe under the chip's constraints."""
    from deploytool.workflow import train as training
    from deploytool.workflow.preflight import load_trainable

    asked = load_trainable(recipe, overrides(set_, download), invocation.say)
    invocation.show_artifact(training.train(invocation.cache, asked, tensorboard))
