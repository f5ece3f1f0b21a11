"""What continuous integration is told: files written, summaries added, and a summary outside of GitHub refused."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from deploytool.base.errors import ArtifactError, UsageError
from deploytool.ir.verdict import Check, Verdict
from deploytool.workflow.ci_files import GITHUB_SUMMARY, CiFiles, ci_files

VERDICT = Verdict((), (), (Check("min_accuracy", 50.0, 95.0, "%", False, "Accuracy: too low", None, "emulator"),))


def test_the_verdict_goes_to_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv(GITHUB_SUMMARY, str(summary))
    told = ci_files(tmp_path / "junit.xml", github_summary=True)
    told.tell(VERDICT)
    told.tell(VERDICT)
    assert ElementTree.parse(tmp_path / "junit.xml").getroot().get("failures") == "1"
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("before\n## deploytool validate")
    assert text.count("Accuracy: too low") == 2


def test_nothing_is_written_where_nothing_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GITHUB_SUMMARY, str(tmp_path / "summary.md"))
    told = ci_files(None, github_summary=False)
    told.tell(VERDICT)
    told.tell_fit("net.nir", {})
    assert list(tmp_path.iterdir()) == []


def test_a_summary_outside_of_github_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(GITHUB_SUMMARY, raising=False)
    with pytest.raises(UsageError, match="GITHUB_STEP_SUMMARY is not set; need a step of GitHub Actions"):
        ci_files(None, github_summary=True)


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    for told in (CiFiles(summary=tmp_path / "no" / "summary"), CiFiles(junit=tmp_path / "no" / "junit.xml")):
        with pytest.raises(ArtifactError, match="cannot be written"):
            told.tell(VERDICT)


def test_a_file_that_cannot_be_written_is_noticed_before_there_is_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "summary"))
    for junit, summary in ((tmp_path / "no" / "junit.xml", False), (None, True)):
        with pytest.raises(ArtifactError, match=r"cannot be written \(No such file"):
            ci_files(junit, summary)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    (tmp_path / "summary").write_text("before\n", encoding="utf-8")
    ci_files(tmp_path / "junit.xml", True)
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [("summary", "before\n")]
