"""TIT, time inheritance training (Deng, Li, Zhang and Gu, ICLR 2022, arXiv 2202.11946, section 4.3).

The network is first trained at few time steps. Training then continues from its weights at more and more steps, so that
most epochs are cheap. The cost is the sum of T_i E_i step-epochs over the stages. The paper trains with the TET loss,
and gives neither lengths nor learning rates of stages. Here every stage has an optimizer and a learning rate schedule
of its own, the best weights of a stage start the next, and batch norms are measured again at each number of time steps.
"""

from __future__ import annotations

from typing import Final

from deploytool.recipe import TrainSection
from deploytool.train.loop.descent import Descent
from deploytool.train.methods.method import descending


def inherited(spec: TrainSection) -> list[TrainSection]:
    """The stages of ``spec.tit``, each a training of its own time steps and epochs."""
    return [
        spec.model_copy(update={"time_steps": steps, "epochs": epochs, "tit": ((steps, epochs),), "base": None})
        for steps, epochs in spec.tit
    ]


TIT: Final = descending(Descent(phases=inherited, remeasures_norms=True))
