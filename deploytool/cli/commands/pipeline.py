"""The command pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploytool.cli.command import command
from deploytool.cli.options import (
    ContinuousOptions,
    DownloadOption,
    RecipeArgument,
    SetOption,
    TensorBoardOption,
    overrides,
)

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation


@command("deploytool pipeline recipes/digits.toml")
def pipeline(
    invocation: Invocation,
    recipe: RecipeArgument,
    ci: ContinuousOptions,
    set_: SetOption = None,
    download: DownloadOption = False,
    tensorboard: TensorBoardOption = None,
) -> int:
    """Run the whole chain: train, convert, map, run, validate, report."""
    from deploytool.workflow import pipeline as chain
    from deploytool.workflow.ci_files import ci_files
    from deploytool.workflow.preflight import load_trainable

    told = ci_files(**vars(ci))
    verdict, report = chain.pipeline(
        invocation.cache, load_trainable(recipe, overrides(set_, download), invocation.say), tensorboard
    )
    return invocation.show_verdict(verdict, told, report)
