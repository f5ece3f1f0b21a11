"""The decision of an event-driven run: the output spike after which its answer never changes.

The answer after some spikes is the output neuron with the most of them, the first of equals. The time to the decision
is from the first input event of the sample, 0 if a tick of the slow clock decides before it; a sample without an output
spike has none. It is known only afterwards: an observer cannot tell at that time that the answer will stay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from deploytool.base.arrays import Array

UNDECIDED: Final = -1
"""The time to the decision of a sample without an output spike, or without an input event."""


def decided_us(t_us: Array, neurons: Array, start_us: int | None) -> int:
    """The time from ``start_us``, that of the first input event, to the decision; `UNDECIDED` if there is none.

    ``t_us`` (N,) and ``neurons`` (N,) are as for `answer_changes`.
    """
    if start_us is None:
        return UNDECIDED
    last = deque(answer_changes(t_us, neurons), maxlen=1)
    return max(0, last[0][0] - start_us) if last else UNDECIDED


def answer_changes(t_us: Array, neurons: Array) -> Iterator[tuple[int, int]]:
    """(time in us, the answer from then on) wherever a spike changes the answer.

    ``t_us`` (N,) and ``neurons`` (N,) are the output spikes in order; neurons as in `Recording.output_counts`.
    """
    counts: dict[int, int] = {}
    answer = -1
    for spike_us, neuron in zip(t_us.tolist(), neurons.tolist(), strict=True):
        counts[neuron] = counts.get(neuron, 0) + 1
        lead = counts[neuron] - counts.get(answer, 0)
        if neuron != answer and (lead > 0 or (lead == 0 and neuron < answer)):
            answer = neuron
            yield spike_us, answer
