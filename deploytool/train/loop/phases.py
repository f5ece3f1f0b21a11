"""Training in phases, each of which starts from the best weights of the previous one.

Bias removal, as in the event-driven pipeline of MTT (Du, Wu, Deng and Gu, ICLR 2025), is a phase before the method's:
SDT with batch norms in real numbers, whose scales then go into the weights (`network.norms.merged`). Then the method
trains the weights that the chip gets, in its integers. The authors go on to learn gamma with frozen statistics, and
merge again: `base.scales = "learnt"` does the same with a scale per output feature, whose product with the weights is
what becomes integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from deploytool.base.arrays import Array
from deploytool.base.errors import RecipeError
from deploytool.base.progress import Tick
from deploytool.recipe import UNQUANTISED, BatchNormLayer, ConstraintsSection, NetworkSection, TrainSection
from deploytool.recipe.nodes import without_norms
from deploytool.train.loop.descent import Descent, descend
from deploytool.train.loop.objective import split_decoder
from deploytool.train.loop.schedule import Schedule
from deploytool.train.network.constraints import require_possible
from deploytool.train.network.norms import merged, with_scales, without_scales
from deploytool.train.task import Epoch, Observe, Resumed, Task, Trained


@dataclass(frozen=True)
class Phase:
    """One phase of a training; ``merges``: its batch norms are merged into its weights at the end; ``scales``: it
    learns scales too, which are multiplied into its weights at the end."""

    descent: Descent
    network: NetworkSection
    constraints: ConstraintsSection
    spec: TrainSection
    merges: bool = False
    scales: bool = False


def phases_of(
    descent: Descent, network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection
) -> list[Phase]:
    """The phases of a training by ``descent``. Raises RecipeError for one that would have no effect."""
    found = []
    if spec.base is not None:
        if not any(isinstance(layer, BatchNormLayer) for layer in network.layers):
            raise RecipeError("train.base", "given, but [network] has no batchnorm layer", "one, or no base")
        found.append(Phase(Descent(), network, _free(constraints), _base(spec), merges=True))
        network = without_norms(network)
    for number, section in enumerate(descent.phases(spec)):
        limits = constraints.model_copy(update={"fan_in_epochs": 1}) if number else constraints
        require_possible(limits, section)
        learns_scales = spec.base is not None and spec.base.scales == "learnt"
        found.append(Phase(descent, network, limits, section, scales=learns_scales))
    return found


def _free(constraints: ConstraintsSection) -> ConstraintsSection:
    """``constraints`` without those on the weights."""
    removed = {"weight_bits": UNQUANTISED, "fan_in": None, "fan_in_epochs": 1, "max_weight_penalty": 0.0}
    return constraints.model_copy(update=removed)


def _base(spec: TrainSection) -> TrainSection:
    assert spec.base is not None
    own = spec.base.model_dump(exclude_none=True, exclude={"scales"})
    steps = spec.base.time_steps or spec.time_steps
    plain = {"method": "sdt", "base": None, "tit": (), "milestones": (), "patience": None}
    no_warmup = {"warmup_epochs": 0, "warmup_steps": None}
    return spec.model_copy(update={**plain, **no_warmup, **own, "time_steps": steps})


def train_in_phases(descent: Descent, task: Task) -> Trained:
    """The weights that the last phase of ``task`` chooses, with the ``history`` of all phases."""
    phases = phases_of(descent, task.network, task.constraints, task.spec)
    batches = math.ceil(len(task.training) / task.spec.batch)
    planned = [Schedule(phase.spec, batches).steps for phase in phases]
    history: list[Epoch] = []
    weights: Mapping[str, Array] | None = None
    for number, phase in enumerate(phases):
        add = partial(_added, tuple(history), number + 1 if len(phases) > 1 else None)
        part = replace(
            task,
            network=phase.network,
            constraints=phase.constraints,
            spec=phase.spec,
            folder=task.folder / f"phase-{number + 1}" if len(phases) > 1 else task.folder,
            tick=_within(task.tick, planned, number),
            observe=_added_to(task.observe, add),
            resumed=_resumed_after(task.resumed, add),
        )
        if phase.scales and weights is not None:
            weights = with_scales(weights)
        trained = descend(phase.descent, part, weights)
        chosen_epoch = len(history) + trained.chosen_epoch
        history += [add(entry) for entry in trained.history]
        weights = merged(trained.weights, phase.network) if phase.merges else without_scales(trained.weights)
    assert weights is not None
    history[chosen_epoch - 1] = {**history[chosen_epoch - 1], "chosen": 1}
    if task.values is None:
        return Trained(weights, tuple(history), chosen_epoch)
    kept, decoder = split_decoder(weights, task.values)
    return Trained(kept, tuple(history), chosen_epoch, decoder)


def _added_to(observe: Observe, add: Callable[[Epoch], Epoch]) -> Observe:
    return lambda entry, best: observe(add(entry), best)


def _resumed_after(resumed: Resumed, add: Callable[[Epoch], Epoch]) -> Resumed:
    return lambda entry: resumed(add(entry))


def _added(before: tuple[Epoch, ...], phase: int | None, entry: Epoch) -> Epoch:
    """The ``entry`` of a phase as an entry of the whole training, after the earlier entries ``before``."""
    if phase is None:
        return entry
    steps = before[-1]["step_epochs"] if before else 0
    numbers = {"phase": phase, "epoch": len(before) + entry["epoch"], "step_epochs": steps + entry["step_epochs"]}
    return {**entry, **numbers}


def _within(tick: Tick, planned: list[int], number: int) -> Tick:
    """A Tick for phase ``number``, from 0, of ``planned`` steps each."""
    part = f"phase {number + 1}/{len(planned)}  " if len(planned) > 1 else ""

    def tell(done: float, _total: int, note: str) -> None:
        tick(sum(planned[:number]) + done, sum(planned), part + note)

    return tell
