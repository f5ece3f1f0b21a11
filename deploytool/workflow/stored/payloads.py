"""The payloads of artifacts, read whole: each file by the reader that commands read it with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from deploytool.base.errors import ArtifactError
from deploytool.base.json_text import read_json
from deploytool.base.tensors import read_tensors
from deploytool.ir.decoder import parse_decoder
from deploytool.ir.streams_file import load_streams
from deploytool.store.artifact import Artifact
from deploytool.store.file_names import DECODER
from deploytool.store.manifest import Kind
from deploytool.store.payloads import SCHEMAS
from deploytool.workflow.stored.contents import content_of


def read_payload(artifact: Artifact) -> None:
    """Reads every file of ``artifact``. Raises DeployError for one whose content is not that of its kind."""
    for name in artifact.manifest.files:
        if (read := _BY_SUFFIX.get(name.rpartition(".")[2])) is not None:
            read(artifact, name)
    content_of(artifact)
    if (read_more := _MORE.get(artifact.kind)) is not None:
        read_more(artifact)


def _tensors(artifact: Artifact, name: str) -> None:
    read_tensors(artifact.path / name)


def _json(artifact: Artifact, name: str) -> None:
    if name in SCHEMAS:
        artifact.read_json(name)
        return
    try:
        read_json(artifact.path / name)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(str(artifact.path / name), f"not readable ({error})", "JSON") from None


def _text(artifact: Artifact, name: str) -> None:
    try:
        (artifact.path / name).read_text(encoding="utf-8")
    except ValueError as error:
        raise ArtifactError(str(artifact.path / name), f"not readable ({error})", "text in UTF-8") from None


def _model(artifact: Artifact) -> None:
    parse_decoder(artifact.read_json(DECODER), f"{artifact.path / DECODER}")


def _samples(artifact: Artifact) -> None:
    for _ in load_streams(artifact.path):
        pass


_BY_SUFFIX: Final[Mapping[str, Callable[[Artifact, str], None]]] = MappingProxyType(
    {"safetensors": _tensors, "json": _json, "html": _text, "txt": _text}
)
_MORE: Final[Mapping[Kind, Callable[[Artifact], None]]] = MappingProxyType({"model": _model, "samples": _samples})
"""What is read of a kind beside what `show` reads."""
