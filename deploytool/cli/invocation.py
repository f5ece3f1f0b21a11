"""One invocation of the command line: where its stages keep what they make, and how its result is shown."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from deploytool.base.errors import NEGATIVE_VERDICT, ArtifactError
from deploytool.base.machine import is_first_process
from deploytool.base.messages import Messages
from deploytool.cli.process import failure, showing_result
from deploytool.store.artifact import Artifact, Store
from deploytool.store.cache import StageCache
from deploytool.store.file_names import PAGE

if TYPE_CHECKING:
    from deploytool.ir.self_test import SelfTest
    from deploytool.workflow.apply import Applied
    from deploytool.workflow.check import Checked
    from deploytool.workflow.ci_files import CiFiles
    from deploytool.workflow.verify import Verified


class Named(Protocol):
    """Options that name a data set."""

    @property
    def data(self) -> str | None: ...
    @property
    def root(self) -> str | None: ...
    @property
    def download(self) -> bool: ...


class Invocation:
    """The context of a command. Its result goes to stdout, for a person or as one JSON object, all else to stderr."""

    def __init__(self, store: Path, as_json: bool, quiet: bool | None) -> None:
        """``quiet`` is False where a person asked for more, and None where nothing was asked."""
        messages = Messages(bool(quiet) or not is_first_process())
        self.cache = StageCache(Store(store, messages), messages)
        self.as_json = as_json
        self.verbose = quiet is False

    def say(self, line: str) -> None:
        """Prints ``line`` on stderr, unless quiet."""
        self.cache.messages.say(line)

    def obtain(self, options: Named) -> None:
        """Downloads the data set that ``options`` name, if they ask for that and it is not there."""
        if options.download:
            from deploytool.workflow.sources.samples import obtain_named

            obtain_named(options.data, options.root, self.cache.messages)

    def show(self, value: Any) -> None:
        """Prints the result."""
        self.cache.messages.pause()
        with showing_result():
            if self.as_json:
                print(json.dumps(value, indent=2))
            else:
                from deploytool.cli.terminal import print_value

                print_value(value)

    def show_artifact(self, artifact: Artifact, whole: bool = False, also: Mapping[str, str] | None = None) -> None:
        """Shows an artifact: its name, its content in short, and what ``also`` says.

        With --json, or ``whole``, it also shows where it came from.
        """
        from deploytool.cli.listing import epochs
        from deploytool.workflow.show import IN_FULL, JSON_ONLY, describe

        shown = describe(self.cache.store, artifact)
        if not (whole or self.as_json):
            shown = {key: value for key, value in shown.items() if key not in IN_FULL}
        if not self.as_json:
            shown = {key: value for key, value in shown.items() if key not in JSON_ONLY}
        if "history" in shown and not self.as_json:
            shown["history"] = epochs(shown["history"])
        self.show({**shown, **(also or {})})

    def show_list(self, artifacts: Sequence[Mapping[str, Any]]) -> None:
        """Shows one row per artifact."""
        from deploytool.cli.listing import listing

        if self.as_json:
            self.show({"artifacts": artifacts})
            return
        rows, note = listing(artifacts, shutil.get_terminal_size().columns, self.verbose)
        self.show(rows or "no artifacts")
        if note:
            self.show(note)

    def show_models(self, models: Sequence[Mapping[str, Any]]) -> None:
        """Shows one row per shipped model; without --json, what fits into 60 columns."""
        from deploytool.cli.listing import shipped

        self.show({"models": models} if self.as_json else shipped(models))

    def show_verdict(self, verdict: Artifact, told: CiFiles, report: Artifact | None = None) -> int:
        """Shows a verdict, and the ``report`` made of it, also to ``told``; the exit code is 9 if it is negative."""
        from deploytool.ir.verdict_file import as_json, load_verdict
        from deploytool.workflow.stored.contents import content_of

        loaded = load_verdict(verdict.path)
        told.tell(loaded)
        if self.as_json:
            self.show(as_json(loaded) | {"artifact": verdict.name, "report": report and str(report.path)})
        else:
            where = {"report": str(report.path / PAGE)} if report else {"artifact": verdict.name}
            self.show(content_of(verdict) | where)
        return NEGATIVE_VERDICT if loaded.negative else 0

    def show_sweep(self, artifact: Artifact) -> None:
        """Shows a sweep: its points in tables, or with --json all that is known of them."""
        if not self.as_json:
            self.show_artifact(artifact)
            return
        from deploytool.ir.sweep_file import as_json, load_sweep

        self.show(as_json(load_sweep(artifact.path)) | {"artifact": artifact.name})

    def show_comparison(self, comparison: Artifact) -> None:
        """Shows the comparison of two runs; if a person asked for more, also the first difference of every layer."""
        from deploytool.cli.comparison import comparison_for_terminal
        from deploytool.ir.verdict_file import as_json, load_verdict

        loaded = load_verdict(comparison.path)
        if self.as_json:
            self.show(as_json(loaded) | {"artifact": comparison.name})
        else:
            self.show(comparison_for_terminal(loaded, self.verbose) | {"artifact": comparison.name})

    def show_selftest(self, result: SelfTest, artifact: Artifact) -> int:
        """Shows a self-test; the exit code is 9 when something is not as assumed."""
        from deploytool.ir.self_test import as_json
        from deploytool.workflow.stored.contents import content_of

        self.show(as_json(result) | {"artifact": artifact.name} if self.as_json else content_of(artifact))
        return 0 if result.passed else NEGATIVE_VERDICT

    def show_fit(self, checked: Checked | Applied) -> int:
        """Shows whether a network fits; the exit code is 7 when it does not."""
        from deploytool.cli.fit import fit_for_terminal

        self.show(checked.as_json() if self.as_json else fit_for_terminal(checked.as_json()))
        return checked.exit_code

    def show_verified(self, verified: Verified) -> int:
        """Shows what is wrong with a store; the exit code is that of a damaged artifact if anything is."""
        from deploytool.cli.verified import verified_for_terminal

        found = verified.as_json()
        self.show(found if self.as_json else verified_for_terminal(found, self.verbose))
        return 0 if verified.whole else ArtifactError.exit_code

    def fail(self, shown: Sequence[str], exit_code: int, problems: Sequence[str] = ()) -> None:
        """Prints the sentences ``shown``; with --json also all ``problems``, by default these, as the one object."""
        self.cache.messages.pause()
        for sentence in shown:
            print(_wrapped(sentence) if sys.stderr.isatty() else sentence, file=sys.stderr)
        if self.as_json:
            print(failure(problems or shown, exit_code))


def _wrapped(problem: str) -> str:
    """``problem`` in lines that the terminal is wide enough for, from the second on indented.

    Options to be copied are left to the terminal, which copies them in one line.
    """
    if " --set " in problem:
        return problem
    width = max(shutil.get_terminal_size().columns, 40)
    return textwrap.fill(problem, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
