"""The command show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deploytool.cli.command import command

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation


@command("deploytool show program@latest")
def show(
    invocation: Invocation,
    artifact: Annotated[
        str | None,
        typer.Argument(metavar="ARTIFACT", help="An artifact, presets, models or schema; by default all artifacts."),
    ] = None,
    datasets: Annotated[bool, typer.Option("--datasets", help="List the data sets a recipe can name.")] = False,
    synop_pj: Annotated[
        float | None, typer.Option(min=0, help="Energy per SynOp, in pJ, that you assume for a recording.")
    ] = None,
) -> None:
    """Print an artifact and its lineage, or list all artifacts."""
    from deploytool.workflow import show as showing
    from deploytool.workflow import zoo
    from deploytool.zoo.models import is_shipped

    store = invocation.cache.store
    if datasets:
        invocation.show({"datasets": showing.datasets()})
    elif artifact == "presets":
        invocation.show({"presets": showing.presets()})
    elif artifact == "models":
        invocation.show_models(zoo.models())
    elif artifact == "schema":
        print(showing.schema(), end="")
    elif artifact is None:
        invocation.show_list(showing.artifacts(store))
    elif is_shipped(artifact):
        whole = showing.describe(store, store.get(artifact)) if invocation.as_json else {}
        invocation.show(whole | zoo.card(artifact))
    elif synop_pj is not None:
        invocation.show(showing.energy(store, artifact, synop_pj))
    else:
        invocation.show_artifact(store.get(artifact), whole=True)
