"""Checkpoints: everything that training needs to continue after an epoch, in a folder that is valid at every moment.

``checkpoint.json`` names the safetensors file of the last complete epoch. Both are written under another name and
moved into place, the tensors first. A run that is killed at any time leaves either the old or the new complete epoch.
It states the SHA-256 of that file, and of itself, so that a flipped bit is found and no other model is trained from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from torch import Tensor

from deploytool.base.arrays import Array, all_finite
from deploytool.base.digest import digest, file_digest
from deploytool.base.errors import ArtifactError, InputError
from deploytool.base.json_text import canonical_json, read_json
from deploytool.base.tensors import read_tensors, write_tensors
from deploytool.base.typed import typed
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

    @property
    def not_finite(self) -> list[str]:
        """The names of the arrays that hold a NaN or an infinity."""
        return [name for name, array in self.arrays.items() if not all_finite(array)]

    def group(self, name: str) -> dict[str, Array]:
        """The arrays named ``name/...``, without that prefix."""
        return {key.removeprefix(name + "/"): a for key, a in self.arrays.items() if key.startswith(name + "/")}

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The arrays of `group` as float32 tensors."""
        return {key: torch.tensor(array, dtype=torch.float32) for key, array in self.group(name).items()}

    def tensors_like(self, name: str, others: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`tensors`, which have the names and shapes of ``others``. Raises ValueError if they do not."""
        found = self.tensors(name)
        _require_like(name, {key: tensor.shape for key, tensor in found.items()}, others)
        return found

    def masks(self, name: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`tensors` of the shapes of some of ``weights``. Raises ValueError or KeyError if they are of others."""
        found = self.tensors(name)
        if misfits := [key for key, mask in found.items() if mask.shape != weights[key].shape]:
            raise ValueError(f"{name}/{misfits[0]} has another shape than the weights")
        return found

    def restore_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Restores the saved state of ``optimizer``. Raises ValueError if that is about tensors of other shapes."""
        learnt = [tensor for group in optimizer.param_groups for tensor in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for path, tensor in self.tensors("optimizer").items():
            index, _, name = path.partition("/")
            if name != "step":
                _require_like("optimizer", {index: tensor.shape}, {index: learnt[int(index)]})
            state.setdefault(int(index), {})[name] = tensor.reshape(()) if name == "step" else tensor
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _require_like(group: str, found: Mapping[str, torch.Size], others: Mapping[str, Tensor]) -> None:
    if found.keys() != others.keys():
        raise ValueError(f"{group}: arrays called {', '.join(found)}")
    for name, shape in found.items():
        if shape != others[name].shape:
            raise ValueError(f"{group}/{name} has the shape {tuple(shape)}, not {tuple(others[name].shape)}")


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


class _Stated(BaseModel):
    """What ``checkpoint.json`` states besides its digest."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: str
    history: Annotated[list[dict[str, float]], Field(min_length=1)]
    tensors: Annotated[str, Field(pattern=r"^epoch-[0-9]{1,9}\.safetensors$")]
    sha256: str


@cache
def _adapter() -> TypeAdapter[_Stated]:
    return TypeAdapter(_Stated)


def load_checkpoint(folder: Path, key: str) -> Checkpoint | None:
    """The checkpoint in ``folder``; None if there is none, or if its key is not ``key``.

    Raises ArtifactError when the checkpoint is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        described: dict[str, Any] = read_json(path)
        if described.pop("digest") != digest(canonical_json(described)):
            raise ValueError("its content does not match its digest")
        if described["key"] != key:
            return None
        stated = typed(described, NAME, _adapter())
        if [entry["epoch"] for entry in stated.history] != list(range(1, len(stated.history) + 1)):
            raise ValueError("the epochs of its history are not 1, 2, 3 and so on")
        tensors = folder / stated.tensors
        if file_digest(tensors) != described["sha256"]:
            raise ValueError(f"{tensors.name} does not match its SHA-256")
        arrays = read_tensors(tensors)
        if odd := [name for name, array in arrays.items() if array.dtype.kind not in "fiub"]:
            raise ValueError(f"{odd[0]} is of type {arrays[odd[0]].dtype}")
        found = Checkpoint(key, tuple(described["history"]), arrays)
        if found.not_finite:
            raise ValueError(f"{found.not_finite[0]} has values that are not finite")
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArtifactError) as error:
        raise damaged(folder, error) from None


def restore_checkpoint(restore: Callable[[Checkpoint], None], found: Checkpoint, folder: Path) -> None:
    """Calls ``restore`` with the checkpoint ``found``. Raises ArtifactError if it is that of another network."""
    try:
        restore(found)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RuntimeError, InputError) as error:
        raise damaged(folder, error) from None


def damaged(folder: Path, error: Exception) -> ArtifactError:
    """The error about the checkpoint in ``folder``, which cannot be used because of ``error``."""
    need, todo = "an intact checkpoint", f"Remove {folder} to train from the start."
    return ArtifactError(str(folder / NAME), f"not readable ({error})", need, todo)
