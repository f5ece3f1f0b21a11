"""The state of progressive tandem learning, which changes stage by stage, and how it is saved and restored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from torch import Tensor

from deploytool.base.arrays import Array, frozen
from deploytool.recipe.network import INPUT
from deploytool.train.loop.checkpoint import Checkpoint, checkpoint_of
from deploytool.train.loop.evaluate import as_tensors
from deploytool.train.loop.optimizers import make_optimizer
from deploytool.train.loop.state import copies, generator_of
from deploytool.train.methods.ptl.goals import Goal
from deploytool.train.methods.ptl.network import NO_THETA, Tandem
from deploytool.train.methods.ptl.restrictions import BIAS
from deploytool.train.network.constraints import masks
from deploytool.train.network.spiking import learnt
from deploytool.train.task import Epoch, Trained

PATIENCE: Final = 6
"""Number of epochs without a lower validation loss that ends a stage, unless the recipe sets it. From the paper."""
RELUS: Final = "ReLUs"
PLAIN: Final = "plain conversion"
"""What the network with ReLUs is called, and its conversion without any stage."""
_OTHERS: Final = "other "


class State:
    """The state of a training: the ``stage`` (0: the network with ReLUs only), its weights and its best weights.

    ``thetas`` are those of the layers that spike; ``masks`` {layer: 1 where a weight may be nonzero}. Stage 1 begins
    from a trained ``ann``. Arrays of the ``goal`` are among the weights. ``others`` are networks to
    compare the result with.
    """

    def __init__(self, tandem: Tandem, goal: Goal, seed: int, ann: Mapping[str, Array] | None) -> None:
        self.tandem, self.goal, self.seed, self.spec = tandem, goal, seed, tandem.spec
        self.stage = 0 if ann is None else 1
        self.first = self.stage
        drawn = tandem.initial_weights(self.generator("weights")) if ann is None else as_tensors(ann)
        own = goal.start(self.generator("decoder"))
        self.weights, self.own = own | drawn, tuple(own)
        self.best = copies(self.weights)
        self.thetas: dict[str, Tensor] = {INPUT: NO_THETA}
        self.masks: dict[str, Tensor] = {}
        self.others: dict[str, dict[str, Tensor]] = {}
        self.history: list[Epoch] = []
        self.begun = False
        self.optimizer = make_optimizer(list(self.weights.values()), self.spec)

    def generator(self, purpose: str, number: int = 0) -> torch.Generator:
        """The random number generator of this training for ``purpose`` in the epoch or layer ``number``."""
        return generator_of(self.seed, purpose, number)

    @property
    def effective(self) -> dict[str, Tensor]:
        """The weights, 0 where their mask is 0."""
        return {
            name: tensor * self.masks[name] if name in self.masks else tensor for name, tensor in self.weights.items()
        }

    @property
    def stages(self) -> int:
        """The number of stages that couple layers."""
        return len(self.tandem.layers) if self.spec.ptl.coupling == "progressive" else 1

    @property
    def coupled(self) -> range:
        """The layers that this stage couples, none in stage 0."""
        if self.stage and self.spec.ptl.coupling == "progressive":
            return range(self.stage - 1, self.stage)
        return range(len(self.tandem.layers) if self.stage else 0)

    @property
    def stage_epochs(self) -> int:
        """The maximum number of epochs of a stage that couples layers."""
        return self.spec.ptl.stage_epochs or self.spec.epochs

    @property
    def patience(self) -> int:
        """The number of epochs without a lower validation loss that ends a stage."""
        return self.spec.ptl.patience or self.spec.patience or PATIENCE

    @property
    def coupled_epochs(self) -> int:
        """The number of epochs of all stages that couple layers so far."""
        return sum(row["stage"] > 0 for row in self.history)

    def rows(self) -> list[Epoch]:
        """The history entries of this stage so far."""
        return [row for row in self.history if row["stage"] == self.stage]

    def fold(self) -> None:
        """Folds the batch norms into the weights; later stages have none."""
        own = {name: self.weights[name].detach() for name in self.own}
        self.tandem, folded = self.tandem.folded(self.weights)
        self.weights = own | folded

    def limit_fan_in(self) -> None:
        """From now on, keeps only the ``fan_in`` largest weights of each neuron in this stage's layers."""
        constraints = self.tandem.constraints
        if constraints.fan_in is None:
            return
        for name in (self.tandem.layers[number].name for number in self.coupled):
            self.masks |= masks({name: self.weights[name]}, constraints, constraints.fan_in_epochs)
            self.weights[name] = self.weights[name] * self.masks[name]

    def begin(self) -> None:
        """Makes the weights of this stage trainable: all, or those from its layer on. Earlier weights are frozen."""
        learning = [layer.name for layer in self.tandem.layers[self.coupled.start :]]
        arrays = {name for layer in learning for name in (layer, f"{layer}.{BIAS}")} | {*self.goal.behind}
        for name, tensor in self.weights.items():
            tensor.requires_grad_(learnt(name) if not self.stage else name in arrays)
        # By name, so that the optimizer has the same order after a checkpoint, whose arrays are in another one.
        trained = [tensor for _, tensor in sorted(self.weights.items()) if tensor.requires_grad]
        self.optimizer = make_optimizer(trained, self.spec)
        self.best = copies(self.weights)
        self.begun = True

    def complete(self, entry: Epoch) -> None:
        """Ends an epoch and adds its ``entry`` to the history."""
        told = {"stage": self.stage, **entry}
        layers = [layer.name for layer in self.tandem.layers[self.coupled.start : self.coupled.stop] if layer.fires]
        if layers:
            stored = self.tandem.stored(self.coupled.stop - 1, self.effective, self.thetas)
            told["theta"] = float(self.thetas[layers[0]].mean())
            told["weight_max"] = max(float(stored[name].max()) for name in layers) / self.tandem.constraints.threshold
        self.history.append(told)
        if self.best_epoch == entry["epoch"]:
            self.best = copies(self.weights)

    def stage_is_over(self) -> bool:
        """Whether this stage is over: after all its epochs, or after `patience` epochs without a better one, which
        ends the last stage only if the recipe says so."""
        rows = self.rows()
        if not self.stage:
            return len(rows) >= self.spec.epochs
        since = rows[-1]["epoch"] - self.best_epoch if rows else 0
        full = self.stage == self.stages and self.spec.ptl.last_stage == "full"
        return len(rows) >= self.stage_epochs or (since >= self.patience and not full)

    def next_stage(self) -> None:
        """Starts the next stage from the best weights of this one."""
        self.weights, self.begun = copies(self.best), False
        self.stage += 1

    def trained(self) -> Trained:
        """The model, after the last stage."""
        self.stage = self.stages
        chosen = self.best_epoch
        history = tuple({**row, "chosen": 1} if row["epoch"] == chosen else row for row in self.history)
        others = {name: _arrays(tensors) for name, tensors in self.others.items()}
        return Trained(_arrays(self.model()), history, chosen, others=others)

    def model(self) -> dict[str, Tensor]:
        """The whole network as spikes, and the arrays of its goal."""
        stored = self.tandem.stored(len(self.tandem.layers) - 1, self.effective, self.thetas)
        return stored | {name: self.weights[name].detach() for name in self.own}

    def checkpoint(self, key: str) -> Checkpoint:
        """The whole state after an epoch, as a Checkpoint."""
        groups = {"weights": self.weights, "best": self.best, "masks": self.masks, "thetas": self.thetas}
        groups |= {_OTHERS + name: tensors for name, tensors in self.others.items()}
        return checkpoint_of(key, self.history, groups, self.optimizer)

    def restore(self, found: Checkpoint) -> None:
        """Restores the state in ``found``. Raises ValueError or KeyError if that is of another network."""
        self.history = list(found.history)
        stages = [row["stage"] for row in self.history]
        if stages != sorted(stages) or not {*stages} <= {*range(self.first, self.stages + 1)}:
            raise ValueError(f"stages {', '.join(map(str, stages))} of {self.stages}")
        if not np.isfinite([row["validation_loss"] for row in self.history]).all():
            raise ValueError("a validation loss that is not finite")
        self.stage = int(stages[-1])
        if self.stage:
            self.fold()
        self.weights, self.best = (found.tensors_like(name, self.weights) for name in ("weights", "best"))
        self.masks = found.masks("masks", self.weights)
        self.thetas = self._thetas(found.group("thetas"))
        self.others = {name: found.tensors(_OTHERS + name) for name in (RELUS, PLAIN) if found.group(_OTHERS + name)}
        for tensors in self.others.values():
            if any(tensors[layer.name].shape != self.weights[layer.name].shape for layer in self.tandem.layers):
                raise ValueError("the networks to compare with have other shapes than the weights")
        best = self.best
        self.begin()
        self.best = best
        found.restore_optimizer(self.optimizer)

    def _thetas(self, found: Mapping[str, Array]) -> dict[str, Tensor]:
        """The thetas in ``found``: of the input and of the layers of spikes coupled so far, one or one per feature."""
        layers = [layer for layer in self.tandem.layers[: self.coupled.stop] if layer.fires]
        features = {INPUT: 1, **{layer.name: layer.block.weight_shape[0] for layer in layers}}
        if found.keys() != features.keys():
            raise ValueError(f"thetas: arrays called {', '.join(found)}")
        if misfits := [name for name, theta in found.items() if theta.shape not in ((1,), (features[name],))]:
            raise ValueError(f"thetas/{misfits[0]} has the shape {found[misfits[0]].shape}")
        return {name: torch.tensor(theta, dtype=torch.float64) for name, theta in found.items()}

    @property
    def best_epoch(self) -> int:
        """The epoch of this stage with the lowest validation loss so far."""
        return int(min(self.rows(), key=lambda row: (row["validation_loss"], row["epoch"]))["epoch"])


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, Array]:
    return {name: frozen(tensor.numpy()) for name, tensor in tensors.items()}
