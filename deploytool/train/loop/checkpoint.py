"""Checkpoints: everything that training needs to continue after an epoch, in a folder that is valid at every moment.

``checkpoint.json`` names the safetensors file of the last complete epoch. Both are written under another name and
moved into place, the tensors first. A run that is killed at any time leaves either the old or the new complete epoch.
It states the SHA-256 of that file, and of itself, so that a flipped bit is found and no other model is trained from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from deploytool.base.arrays import Array
from deploytool.base.digest import digest, file_digest
from deploytool.base.errors import ArtifactError
from deploytool.base.json_text import canonical_json
from deploytool.base.tensors import read_tensors, write_tensors
from deploytool.train.task import Epoch

NAME: Final = "checkpoint.json"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of the training called ``key``; ``history`` has one entry for each complete epoch.

    ``arrays`` {"weights/conv1": ..., "optimizer/0/step": ...} are in named groups; one group belongs to the optimizer.
    """

    key: str
    history: tuple[Epoch, ...]
    arrays: Mapping[str, Array]

    def group(self, name: str) -> dict[str, Array]:
        """The arrays named ``name/...``, without that prefix."""
        return {key.removeprefix(name + "/"): a for key, a in self.arrays.items() if key.startswith(name + "/")}

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The arrays of `group` as float32 tensors."""
        return {key: torch.tensor(array, dtype=torch.float32) for key, array in self.group(name).items()}

    def restore_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Restores the saved state of ``optimizer``."""
        state: dict[int, dict[str, Tensor]] = {}
        for path, tensor in self.tensors("optimizer").items():
            index, _, name = path.partition("/")
            state.setdefault(int(index), {})[name] = tensor.reshape(()) if name == "step" else tensor
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def checkpoint_of(
    key: str,
    history: Sequence[Epoch],
    groups: Mapping[str, Mapping[str, Tensor]],
    optimizer: torch.optim.Optimizer,
) -> Checkpoint:
    """The Checkpoint of the training called ``key``: named ``groups`` of tensors, and the state of ``optimizer``."""
    tensors = {f"{group}/{name}": tensor for group, named in groups.items() for name, tensor in named.items()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": value for name, value in values.items() if value is not None}
    return Checkpoint(key, tuple(history), {name: tensor.numpy(force=True) for name, tensor in tensors.items()})


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Replaces the checkpoint in ``folder`` by ``checkpoint``. Raises ArtifactError when it cannot be written."""
    tensors = f"epoch-{len(checkpoint.history)}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / ".draft"
        write_tensors(checkpoint.arrays, draft)
        described = {
            "key": checkpoint.key,
            "history": checkpoint.history,
            "tensors": tensors,
            "sha256": file_digest(draft),
        }
        draft.replace(folder / tensors)
        draft.write_text(canonical_json({**described, "digest": digest(canonical_json(described))}), encoding="utf-8")
        draft.replace(folder / NAME)
        for path in folder.glob("epoch-*.safetensors"):
            if path.name != tensors:
                path.unlink()
    except OSError as error:
        raise ArtifactError(
            str(folder), f"cannot be written ({error.strerror})", "a writable folder for checkpoints"
        ) from None


def load_checkpoint(folder: Path, key: str) -> Checkpoint | None:
    """The checkpoint in ``folder``; None if there is none, or if its key is not ``key``.

    Raises ArtifactError when the checkpoint is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        described: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if described.pop("digest") != digest(canonical_json(described)):
            raise ValueError("its content does not match its digest")
        if described["key"] != key:
            return None
        tensors = folder / Path(described["tensors"]).name
        if file_digest(tensors) != described["sha256"]:
            raise ValueError(f"{tensors.name} does not match its SHA-256")
        return Checkpoint(key, tuple(described["history"]), read_tensors(tensors))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, ArtifactError) as error:
        raise ArtifactError(
            str(path),
            f"not readable ({error})",
            "an intact checkpoint",
            f"Remove {folder} to train from the start.",
        ) from None
