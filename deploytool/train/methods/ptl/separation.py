"""What networks that were trained to separate voices make of mixtures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from deploytool.base.arrays import Array
from deploytool.ir.recording import Recording, Setup
from deploytool.ir.speech import Separated
from deploytool.train.device import reproducible
from deploytool.train.loop.evaluate import as_tensors
from deploytool.train.methods.ptl.goals import Voices
from deploytool.train.methods.ptl.network import Tandem
from deploytool.train.methods.ptl.state import RELUS
from deploytool.train.methods.ptl.training import PTL
from deploytool.train.task import Task


def separate(task: Task, models: Mapping[str, Mapping[str, Array]], samples: Sequence[str], rate_hz: int) -> Recording:
    """What ``models`` {name: weights} of the network of ``task``, without batch norms, make of its validation mixtures.

    ``samples`` are the names of these mixtures at ``rate_hz``. The synaptic updates are those of the first of
    ``models``. Spikes are not kept: the output is the voices.
    """
    assert task.masks is not None
    sections = task.network, task.constraints, task.spec
    goal, tandem, net = Voices(task.masks, task.spec.time_steps), Tandem(*sections), PTL.build(*sections)
    found: dict[str, list[Tensor]] = {name: [] for name in models}
    sources, synops, done = [], [], 0
    with reproducible(), torch.no_grad():
        for inputs, wanted in task.validation(task.spec.time_steps, task.spec.batch, None):
            for number, (name, arrays) in enumerate(models.items()):
                weights = as_tensors(arrays)
                if name == RELUS:
                    potentials = tandem.ann(weights, goal.given(weights, inputs))
                else:
                    activity = net.run(weights, goal.frames(weights, inputs))
                    potentials = activity.output.sum(0)
                    synops += [] if number else [activity.synops]
                found[name].append(goal.estimates(weights, potentials, inputs))
            sources.append(wanted)
            done += len(wanted)
            task.tick(done, len(samples), "")
    waves = torch.cat(sources).numpy()
    return Recording(
        rung="torch",
        samples=tuple(samples),
        labels=np.full(len(samples), -1),
        outputs=(),
        counts={},
        synops=torch.cat(synops).numpy().astype(np.int64),
        spikes={},
        aliases={},
        durations_us=np.full(len(samples), round(waves.shape[-1] / rate_hz * 1e6)),
        setup=Setup(arithmetic="float32", time_steps=task.spec.time_steps),
        speech=Separated(
            waves,
            {name: torch.cat(parts).numpy() for name, parts in found.items()},
            rate_hz,
            task.masks.says,
            task.masks.synthetic,
        ),
    )
