"""Named arrays in safetensors files: the one reader and the one writer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from deploytool.base.arrays import Array, frozen
from deploytool.base.errors import ArtifactError

NEED: Final = "a file that deploytool wrote"


def write_tensors(arrays: Mapping[str, Array], path: Path) -> None:
    """Writes ``arrays`` to ``path``; equal arrays give equal bytes.

    The numpy front end of safetensors silently writes wrong values for an array that is not contiguous. The bytes are
    made in memory first, so that any disk failure is an ordinary OSError.
    """
    path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def read_tensors(path: Path) -> dict[str, Array]:
    """The arrays in ``path``, read-only.

    Raises ArtifactError when it is not a safetensors file, cannot be read, or has numbers of a type that numpy lacks.
    """
    try:
        return {name: frozen(array) for name, array in load_file(path).items()}
    except (SafetensorError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise ArtifactError(str(path), f"not a safetensors file of numpy's types ({error})", NEED) from None
    except OSError as error:
        raise ArtifactError(str(path), f"not readable ({error.strerror or error})", NEED) from None
