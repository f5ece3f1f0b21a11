"""Without an extra there is one sentence, with what installs it; and the table agrees with pyproject.toml."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploytool.base.errors import UsageError
from deploytool.base.extras import EXTRAS, missing, require

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = {"sklearn": "scikit-learn", "google": "protobuf", "numba_cuda": "numba-cuda"}


def test_every_extra_and_package_of_the_project_is_in_the_table() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = {
        extra: {re.split(r"[\[><=]", line)[0] for line in lines}
        for extra, lines in extras.items()
        if extra not in ("dev", "browser", "docs")
    }
    known = {extra: {DISTRIBUTIONS.get(module, module) for module in modules} for extra, modules in EXTRAS.items()}
    assert known == declared


def test_a_missing_package_is_one_sentence_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError) as found:
        require("train", "torch")
    assert found.value.problems == ("train: PyTorch is not installed; need pip install 'deploytool[train]'.",)


def test_a_package_that_is_there_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: SimpleNamespace())
    require("train", "torch", "sklearn")


def test_a_submodule_belongs_to_its_package_and_others_to_no_extra() -> None:
    assert "deploytool[onnx]" in str(missing("check", "google.protobuf"))
    assert missing("check", "deploytool.absent") is None
    assert missing("check", None) is None
