"""Facts that a report does not know."""

from __future__ import annotations

from deploytool.chip.chips import Chip
from deploytool.ir.program import Program
from deploytool.ir.verdict import Verdict


def unknowns(program: Program, chip: Chip | None, verdict: Verdict) -> list[str]:
    """One sentence for each fact that the report of ``program`` does not know."""
    sentences = []
    if "board" not in verdict.ran:
        sentences.append(
            "How this network behaves on silicon: no board was run. The emulator follows the documented and observed "
            "rules of the chip family; on recordings from a Speck (first layer of another network, ten samples) the "
            "same rules came within about 1 % of the measured spikes, and the remaining difference is unexplained."
        )
    if chip is not None:
        sentences += _chip_unknowns(program, chip)
    sentences.append(
        "Speed and energy on the chip: neither was measured. Times are those of the events, without the time that the "
        "chip computes; energy is estimated from SynOps."
    )
    if smallest := min((rung.labelled for rung in verdict.ran.values() if rung.labelled), default=0):
        sentences.append(
            f"Accuracy on other data: it was measured on {smallest:,} samples; the 95 % intervals are estimates of "
            "what more samples of the same kind would give."
        )
    return sentences


def _chip_unknowns(program: Program, chip: Chip) -> list[str]:
    top = chip.integers.state_range[1]
    lanes = [number for number, core in enumerate(chip.cores) if core.parallel_lanes]
    placed = [f"{name} on core {number}" for name, number in program.core_of.items() if number in lanes]
    here = f"Here: {', '.join(placed)}." if placed else "No layer of this network is on these cores."
    return [
        f"How a core behaves when a neuron's state would exceed {top:,}: unknown. With thresholds of at "
        f"most {chip.integers.threshold_max:,}, no layer whose weights stay below its threshold reaches this value.",
        f"How cores {' and '.join(map(str, lanes))} order events: they compute in parallel lanes, and their leak is "
        f"reported to be unreliable (unconfirmed). {here}",
        "In which order a core sends the spikes that one event causes: not documented. The emulator takes them row by "
        "row, column by column, feature by feature. In simulation the choice moved counts by less than about 1 % (by "
        "up to 6 % in random order where weights exceed thresholds).",
        "Events lost or delayed when a core or the router is overloaded: not modelled, and no limit is documented.",
        "How repeatable the chip is: for one network, on N-MNIST, a second run on the same chip is reported to "
        "differ by 2.81 % at the output (arXiv 2503.17394). Compare every difference above with this figure.",
        "Whether every version of the vendor's validator takes overlapping sources and a pooling of 8, and whether the "
        "sensor's crop comes before or after its pooling: unknown. Programs do not depend on either.",
    ]
