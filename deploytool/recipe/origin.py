"""Where the values of a recipe were written: the file and the line, or the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploytool.recipe.augment import ALSO_IN_TRAIN
from deploytool.recipe.lines import KeyPath


@dataclass(frozen=True)
class Origin:
    """The ``name`` of a file, the ``lines`` of its keys, and the keys that were ``overridden`` with --set."""

    name: str
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    overridden: frozenset[KeyPath] = frozenset()

    def written(self, path: KeyPath) -> KeyPath:
        """``path`` as it was written: augmentations may be in [train] itself, layers may be those of a preset."""
        if path[:2] == ("network", "layers") and ("network", "preset") in self.overridden:
            return "network", "preset"
        if path[:2] == ("train", "augment") and path[2:] and path[2] in ALSO_IN_TRAIN:
            in_train = ("train", *path[2:])
            if in_train in self.lines or in_train in self.overridden:
                return in_train
        return path

    def is_overridden(self, path: KeyPath) -> bool:
        """Whether --set gave ``path``, or what it is in."""
        return any(path[:length] in self.overridden for length in range(1, len(path) + 1))

    def line(self, path: KeyPath) -> int:
        """The line of ``path``, or of what it is in; 0 if there is none."""
        return next((self.lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in self.lines), 0)

    def where(self, path: KeyPath) -> str:
        """The place of ``path`` in words: "nmnist.toml:39: train.t_min", or "--set train.t_min"."""
        path = self.written(path)
        keys = ".".join(map(str, path))
        if self.is_overridden(path):
            return f"--set {keys}"
        line = self.line(path)
        file = f"{self.name}:{line}" if line else self.name
        return f"{file}: {keys}" if keys else file
