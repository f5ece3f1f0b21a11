"""The command package, and its options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploytool.base.errors import UsageError
from deploytool.cli.command import command
from deploytool.cli.options import DataFolderOption, DownloadOption, SamplesOption

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation
    from deploytool.workflow.sources.samples import SampleSource


@dataclass(frozen=True)
class KnownAnswerOptions:
    """The samples whose answer goes into a package."""

    data: Annotated[
        str | None,
        typer.Option(help="A data set's name, an event file, or a folder of event files; by default random events."),
    ] = None
    root: DataFolderOption = None
    download: DownloadOption = False
    samples: SamplesOption = None

    def source(self, invocation: Invocation) -> SampleSource:
        """The samples that were asked for."""
        from deploytool.data.formats.reading import AS_IT_IS
        from deploytool.data.sets.sources import DATASETS
        from deploytool.workflow.package.package import SAMPLES, random_samples
        from deploytool.workflow.sources.samples import samples

        invocation.obtain(self)
        if self.data is None:
            if self.root is not None:
                raise UsageError("--root", "given without --data", "a data set's name in --data")
            return random_samples(self.samples or SAMPLES)
        count = self.samples or (SAMPLES if self.data in DATASETS else None)
        return samples(self.data, self.root, None, count, AS_IT_IS, invocation.cache.messages.say)


@command("deploytool package program@latest -o net.zip")
def package(
    invocation: Invocation,
    program: Annotated[str, typer.Argument(metavar="PROGRAM", help="A program mapped for a chip, or a shipped model.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The package: a .zip file.")],
    answer: KnownAnswerOptions,
    vlab: Annotated[
        bool, typer.Option("--vlab", help="Add the script that writes the bundle of a remote laboratory.")
    ] = False,
) -> None:
    """Pack a program for a chip with a known answer, a runner and a checker, for people without deploytool."""
    from deploytool.workflow.package.package import package as pack

    invocation.show(pack(invocation.cache, program, output, answer.source(invocation), vlab))
