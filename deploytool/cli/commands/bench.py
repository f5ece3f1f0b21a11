"""The command bench."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploytool.cli.command import command
from deploytool.cli.options import ReadingOptions, StatementOptions

if TYPE_CHECKING:
    from deploytool.bench.compare import Earlier
    from deploytool.cli.invocation import Invocation


@dataclass(frozen=True)
class ClaimOptions:
    """Options of bench claims."""

    claim: Annotated[str | None, typer.Option(metavar="NAME", help="Only this claim.")] = None
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the claims.")] = Path("recipes/claims")
    root: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the data: nmnist and mnist for the claims, nmnist for commands."),
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
    from deploytool.base.errors import UsageError
    from deploytool.bench import BENCHMARKS
    from deploytool.bench import bench as measure
    from deploytool.bench.compare import OF_COMMANDS, OF_NETWORKS, read_earlier
    from deploytool.bench.experiments import claims as try_claims
    from deploytool.bench.experiments import for_terminal
    from deploytool.bench.network import Asked, bench_network
    from deploytool.data.formats.reading import Reading

    if what == "claims":
        found = try_claims(invocation.cache, claims.folder, claims.claim, claims.root)
        invocation.show(found if invocation.as_json else {**for_terminal(found["claims"]), "table": found["table"]})
        return 0
    if claims.claim is not None:
        raise UsageError("--claim", f"given with bench {what}", "bench claims")
    if what == "all" or what in BENCHMARKS or (what.isidentifier() and not Path(what).exists()):
        if network.data is not None or ((claims.root or network.compare) is not None and what != "commands"):
            raise UsageError("--root, --data, --compare", f"given with bench {what}", "a network to bench")
        before = read_earlier(network.compare, OF_COMMANDS) if network.compare else None
        return _show(invocation, measure(what, claims.root), before)
    before = read_earlier(network.compare, OF_NETWORKS) if network.compare else None
    root = None if claims.root is None else str(claims.root)
    asked = Asked(network.data, root, network.rate, network.duration_ms, network.target, network.repeats)
    answer = bench_network(invocation.cache, what, stated.options, asked, Reading(**vars(files)))
    return _show(invocation, answer, before)


def _show(invocation: Invocation, answer: dict[str, object], before: Earlier | None) -> int:
    """Shows ``answer``, compared with the one ``before`` if it is given; the exit code is 9 if slower.

    On a terminal it has no measures, which are there for --compare.
    """
    from deploytool.base.errors import NEGATIVE_VERDICT
    from deploytool.bench.compare import slower

    if before is not None:
        answer |= slower(answer, before)
    invocation.show(answer if invocation.as_json else {key: each for key, each in answer.items() if key != "measures"})
    return NEGATIVE_VERDICT if answer.get("slower") else 0
