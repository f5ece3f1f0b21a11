"""The verb report: a verdict, and everything in the store that led to it, as one page."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deploytool.base.errors import ArtifactError, UsageError
from deploytool.base.files import is_folder, require_writable, temporary_folder, write_file
from deploytool.base.machine import trained_on
from deploytool.ir.program_file import load_program
from deploytool.ir.recording import Recording
from deploytool.ir.verdict import Difference, Verdict
from deploytool.ir.verdict_file import load_verdict
from deploytool.store.artifact import Artifact, Request, StoreError
from deploytool.store.cache import StageCache
from deploytool.store.file_names import CALIBRATION, CONFIGURATION, HISTORY, PAGE, QUANTISATION, SPLITS
from deploytool.store.lineage import ancestors, lineage, machine_of, sweeps_of
from deploytool.workflow.sources.networks import originals_of
from deploytool.workflow.sources.recordings import load
from deploytool.workflow.stored.replay import WHERE_THEY_WERE, DataPlace, replay
from deploytool.workflow.stored.reproduce import commands, recipe_text

if TYPE_CHECKING:
    from deploytool.report.content import Divergence, Origin, ReportContent
    from deploytool.report.voices import VoicesContent

PAGE_VERSION: Final = 4
"""Part of the key of a report: a stored page of an older form is not taken for this one."""

SWEEPS_MAX: Final = 4
"""The maximum number of sweeps shown: the newest, in the order of their names, whichever was made again last."""

EXPLAINED: Final = 3
"""The number of samples in which the first divergence is sought."""


def report(
    cache: StageCache,
    reference: str,
    samples: int,
    title: str | None = None,
    place: DataPlace = WHERE_THEY_WERE,
) -> Artifact:
    """The HTML page of a verdict and everything in the store behind it; its title is the verdict's name by default.

    Samples that are not where they were are in ``place``.
    """
    request, content = _page(cache, reference, samples, title, place)
    return cache.stored(request, content, _write)


def report_to(
    output: Path,
    cache: StageCache,
    reference: str,
    samples: int,
    title: str | None = None,
    place: DataPlace = WHERE_THEY_WERE,
) -> tuple[Artifact | None, Path]:
    """(`report`, its copy at ``output``, a file, or a folder that gets all files of the report).

    In a store that cannot be written there is only the copy.
    """
    request, content = _page(cache, reference, samples, title, place)
    with _place(output) as copy:
        try:
            made = cache.stored(request, content, _write)
        except StoreError:
            cache.messages.say(f"{cache.store.root} cannot be written: the page is not kept there")
            with temporary_folder() as folder:
                _write(content(), folder)
                _copy(folder, [path.name for path in folder.iterdir()], output, copy)
            return None, copy
        _copy(made.path, made.manifest.files, output, copy)
        return made, copy


def _page(
    cache: StageCache, reference: str, samples: int, title: str | None, place: DataPlace
) -> tuple[Request, Callable[[], ReportContent | VoicesContent]]:
    """(the request for the page of a verdict, what makes its content)."""
    verdict = cache.store.get(reference, "verdict")
    sweeps = sorted(sweeps_of(cache.store, verdict)[:SWEEPS_MAX], key=lambda sweep: sweep.name)

    def content() -> ReportContent | VoicesContent:
        from deploytool.ir.sweep_file import load_sweep

        if any(run.separation for run in load_verdict(verdict.path).ran.values()):
            return _of_voices(cache, verdict, samples, title)
        swept = tuple(load_sweep(each.path) for each in sweeps)
        return replace(_content(cache, verdict, samples, title, place), sweeps=swept)

    inputs = {"verdict": verdict.digest, **{f"sweep{i}": sweep.digest for i, sweep in enumerate(sweeps)}}
    return Request("report", inputs, {"page": PAGE_VERSION, "samples": samples, "title": title}), content


def _write(content: ReportContent | VoicesContent, folder: Path) -> None:
    from deploytool.report.page import write_report
    from deploytool.report.voices import VoicesContent, write_voices

    if isinstance(content, VoicesContent):
        write_voices(content, folder)
    else:
        write_report(content, folder)


def _of_voices(cache: StageCache, verdict: Artifact, samples: int, title: str | None) -> VoicesContent:
    """The content of the page of a ``verdict`` on voices, with the first ``samples`` mixtures to listen to."""
    from deploytool.report.voices import Heard, VoicesContent
    from deploytool.validate.speech import in_best_order

    made_from = ancestors(cache.store, verdict)
    model = next((artifact for artifact in made_from if artifact.kind == "model"), None)
    heard = []
    for artifact in made_from:
        recording = load(cache.store, artifact) if artifact.kind == "recording" else None
        if recording is None or recording.speech is None:
            continue
        speech = recording.speech
        ran, waves = next(iter(speech.estimates.items()))
        ordered = in_best_order(waves, speech.sources)
        for index, name in enumerate(recording.samples[:samples]):
            voices = [(f"{ran}, voice {k}", wave) for k, wave in enumerate(ordered[index], start=1)]
            true = [(f"true voice {k}", wave) for k, wave in enumerate(speech.sources[index], start=1)]
            heard.append(Heard(name, {"mixture": speech.mixtures[index], **dict(voices), **dict(true)}))
    return VoicesContent(
        title=title or verdict.name,
        verdict=load_verdict(verdict.path),
        heard=tuple(heard),
        history=tuple(model.stored_json(HISTORY)) if model else (),
        origin=_origin(cache, (verdict, *made_from), title or verdict.name),
    )


@contextlib.contextmanager
def _place(output: Path) -> Iterator[Path]:
    """The path of the page at ``output``, a file or a folder. Its folders are made, and unmade if the body fails.

    Raises ArtifactError if the page cannot be written there: before it is made, not after.
    """
    page = output / PAGE if is_folder(output) or not output.suffix else output
    new = [folder for folder in page.parents if not is_folder(folder)]
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(str(page.parent), f"cannot be written ({error.strerror})", "a writable --output") from None
    try:
        require_writable(page)
        yield page
    except BaseException:
        with contextlib.suppress(OSError):  # one that is no longer empty stays, and so do those above it
            for folder in new:
                folder.rmdir()
        raise


def _copy(folder: Path, files: Iterable[str], output: Path, page: Path) -> None:
    """Copies the page in ``folder`` to ``page``; all ``files`` of the report if ``output`` is a folder."""
    if page == output:
        write_file(page, (folder / PAGE).read_bytes())
        return
    for name in files:
        write_file(output / name, (folder / name).read_bytes())


def _content(cache: StageCache, verdict: Artifact, samples: int, title: str | None, place: DataPlace) -> ReportContent:
    from deploytool.report.choice import choose
    from deploytool.report.content import ReportContent

    made_from = ancestors(cache.store, verdict)
    programs = [artifact for artifact in made_from if artifact.kind == "program"]
    if not programs:
        raise UsageError(verdict.name, "its programs are not in the store", "the store it was made in")
    on_chip = next((artifact for artifact in programs if (artifact.path / CONFIGURATION).exists()), programs[0])
    model = next((artifact for artifact in made_from if artifact.kind == "model"), None)
    judged = load_verdict(verdict.path)
    stored = _runs(judged, [artifact for artifact in made_from if artifact.kind == "recording"])
    runs = {name: load(cache.store, artifact) for name, artifact in stored.items()}
    chosen = choose(runs, samples)
    return ReportContent(
        title=title or verdict.name,
        verdict=judged,
        runs=runs,
        program=load_program(on_chip.path),
        chosen=chosen,
        replayed=_replayed(cache, stored, runs, [choice.index for choice in chosen], place),
        divergence=_divergence(cache, judged, stored, place),
        history=tuple(model.stored_json(HISTORY)) if model else (),
        quantisation=tuple(on_chip.read_json(QUANTISATION) or ()),
        splits=tuple(on_chip.read_json(SPLITS) or ()),
        calibration=on_chip.read_json(CALIBRATION),
        origin=_origin(cache, (verdict, *made_from), title or verdict.name),
        originals=next((names for artifact in made_from if (names := originals_of(artifact))), {}),
    )


def _runs(verdict: Verdict, recordings: Sequence[Artifact]) -> dict[str, Artifact]:
    """{name in the verdict: recording}, for the recordings that are in the store.

    Verdicts of earlier versions do not name their recordings, which are then taken in order.
    """
    by_name = {artifact.name: artifact for artifact in recordings}
    unnamed = iter(recordings)
    found = {
        run.name: by_name.get(run.recording) if run.recording else next(unnamed, None) for run in verdict.ran.values()
    }
    return {name: artifact for name, artifact in found.items() if artifact}


def _divergence(cache: StageCache, verdict: Verdict, stored: Mapping[str, Artifact], place: DataPlace) -> Divergence:
    """Why two runs differ: the first pair of the verdict that differs and can be run again, the main one first."""
    from deploytool.report.content import Divergence
    from deploytool.report.differences import main_difference
    from deploytool.workflow.compare import explanations

    main = main_difference(verdict)
    problem = "there is only one run." if main is None else "the runs have the same spikes."
    for pair in dict.fromkeys((main, *verdict.differences)):
        if pair is None or not {pair.reference, pair.test} <= stored.keys() or not _differs(pair):
            continue
        if pair.details and pair.details.explained:
            return Divergence(pair.reference, pair.test, pair.details.explained, pair.details.not_explained)
        found, why = explanations(cache, stored[pair.reference], stored[pair.test], EXPLAINED, place)
        if found:
            return Divergence(pair.reference, pair.test, found, why)
        problem = why
    return Divergence(problem=problem)


def _differs(pair: Difference) -> bool:
    return any(layer.exact_neurons < layer.neurons for layer in (pair.output, *pair.layers))


def _replayed(
    cache: StageCache,
    stored: Mapping[str, Artifact],
    runs: Mapping[str, Recording],
    indices: Sequence[int],
    place: DataPlace,
) -> dict[str, Recording]:
    """{run: its samples ``indices`` again, with every spike}, for the runs that can be replayed here."""
    again = {name: replay(cache.store, artifact, runs[name], indices, place) for name, artifact in stored.items()}
    return {name: recording for name, recording in again.items() if recording is not None}


def _origin(cache: StageCache, artifacts: tuple[Artifact, ...], title: str) -> Origin:
    from deploytool.report.content import Origin, Provenance

    machine = machine_of(cache.store, artifacts[0])
    return Origin(
        artifacts=tuple(
            Provenance(artifact.name, artifact.kind, artifact.digest, lineage(cache.store, artifact))
            for artifact in artifacts
        ),
        commands=commands(artifacts, title),
        recipe=recipe_text(artifacts, title),
        versions={package: version(package) for package in ("deploytool", "numpy", "numba")},
        trained_on=trained_on(machine) if machine else "",
    )
