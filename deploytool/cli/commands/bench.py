"""The command bench."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploytool.cli.command import command
from deploytool.cli.options import ReadingOptions, StatementOptions

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation


@dataclass(frozen=True)
class ClaimOptions:
    """Options of bench claims."""

    claim: Annotated[str | None, typer.Option(metavar="NAME", help="Only this claim.")] = None
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the claims.")] = Path("recipes/claims")
    root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the data: nmnist and mnist for the claims.")
    ] = None


@dataclass(frozen=True)
class NetworkOptions:
    """Options for the benchmark of a network."""

    data: Annotated[
        str | None,
        typer.Option(help="A data set's name, an event file, or a folder of event files; by default random events."),
    ] = None
    rate: Annotated[int, typer.Option(metavar="N", min=1, help="Random events per second.")] = 13_333
    duration_ms: Annotated[int, typer.Option(metavar="MS", min=1, help="Length of a random sample.")] = 300
    target: Annotated[str, typer.Option(help="simulator, in float32, or a chip, in its integers and core by core.")] = (
        "simulator"
    )
    repeats: Annotated[int, typer.Option(metavar="N", min=2, help="Measurements, of which the shortest counts.")] = 9
    compare: Annotated[
        Path | None,
        typer.Option(metavar="OLD.json", help="Exit with 9 if something is slower than in this earlier answer."),
    ] = None


@command("deploytool bench net.nir --data events.npy")
def bench(
    invocation: Invocation,
    claims: ClaimOptions,
    network: NetworkOptions,
    stated: StatementOptions,
    files: ReadingOptions,
    what: Annotated[
        str,
        typer.Argument(
            metavar="[NETWORK|simulator|large|gpu|training|memory|check|readers|commands|claims]",
            help="A program, or a network that convert takes; or one of the project's benchmarks, by default all but "
            "claims.",
        ),
    ] = "all",
) -> int:
    """Measure the speed of a network; or of this project, as ratios within one run, against named peers.

    For a network: samples and synaptic operations per second, latency, each layer's share of this machine's limit, and
    where the time goes. All measurements take turns; the shortest of each counts, and its noise is stated.
    """
    from deploytool.base.errors import NEGATIVE_VERDICT, UsageError
    from deploytool.bench import BENCHMARKS
    from deploytool.bench import bench as measure
    from deploytool.bench.experiments import claims as try_claims
    from deploytool.bench.experiments import for_terminal
    from deploytool.bench.network import Asked, bench_network, slower
    from deploytool.data.formats.reading import Reading

    if what == "claims":
        found = try_claims(invocation.cache, claims.folder, claims.claim, claims.root)
        invocation.show(found if invocation.as_json else {**for_terminal(found["claims"]), "table": found["table"]})
        return 0
    if claims.claim is not None:
        raise UsageError("--claim", f"given with bench {what}", "bench claims")
    if what == "all" or what in BENCHMARKS or (what.isidentifier() and not Path(what).exists()):
        if claims.root is not None or network.data is not None or network.compare is not None:
            raise UsageError("--root, --data, --compare", f"given with bench {what}", "a network to bench")
        invocation.show(measure(what))
        return 0
    root = None if claims.root is None else str(claims.root)
    asked = Asked(network.data, root, network.rate, network.duration_ms, network.target, network.repeats)
    answer = bench_network(invocation.cache, what, stated.options, asked, Reading(**vars(files)))
    if network.compare is None:
        invocation.show(_shown(answer, invocation.as_json))
        return 0
    answer |= slower(answer, network.compare)
    invocation.show(_shown(answer, invocation.as_json))
    return NEGATIVE_VERDICT if answer["slower"] else 0


def _shown(answer: dict[str, object], as_json: bool) -> dict[str, object]:
    """``answer``, on a terminal without the measures, which are there for --compare."""
    return answer if as_json else {name: value for name, value in answer.items() if name != "measures"}
