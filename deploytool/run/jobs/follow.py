"""One sample of a job run again, with everything that flows through the program."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deploytool.base.errors import UnsupportedError
from deploytool.ir.events import EventStream, starts_of
from deploytool.ir.program import Program
from deploytool.ir.traffic import Traffic
from deploytool.run.engine.clock_driven import run_clocked_sample
from deploytool.run.engine.discretisation import TimeSteps
from deploytool.run.engine.event_driven import run_samples
from deploytool.run.engine.follower import Follower
from deploytool.run.engine.limits import LIMITS
from deploytool.run.jobs.job import Job, perturbed
from deploytool.run.jobs.perturbation import perturb_stream
from deploytool.run.plan.layers import make_plan, state_type
from deploytool.run.record.samples import Room


def follow(job: Job, program: Program, stream: EventStream, index: int) -> Traffic:
    """Everything that flows in sample number ``index`` of ``job``, ``stream``; a perturbation is applied again.

    Raises UnsupportedError and InputError as the run does.
    """
    executed, sent = program, stream
    if job.perturbation is not None:
        executed = perturbed(program, job.perturbation)
        sent = perturb_stream(stream, job.perturbation, index)
    if found := [name for name, layer in executed.layers.items() if layer.decimation > 1]:
        raise UnsupportedError(
            f"layer {found[0]!r}",
            "has an output decimator, so that its spikes do not follow from one neuron",
            "layers without a decimator to follow single neurons",
            "Map the network without --decimate.",
        )
    if job.time_steps is None:
        return _event_driven(executed, program, sent)
    return _clock_driven(executed, program, sent, TimeSteps(job.time_steps, bins=job.bins))


def _event_driven(program: Program, unperturbed: Program, stream: EventStream) -> Traffic:
    follower = Follower(program)
    plan = make_plan(program, state_type(program), vectors=True)
    limits = replace(LIMITS, chunk=max(len(stream) + len(program.ticks_us(stream.duration_us)), 1))
    room = Room(program, [*program.parts]).take(0, 1)
    sample = run_samples(plan, [stream], room, keep_spikes=True, limits=limits, follower=follower)[0]
    return Traffic(
        program,
        unperturbed,
        stream,
        spikes=sample.spikes,
        causes=follower.causes(),
        arrivals=follower.arrivals(),
    )


def _clock_driven(program: Program, unperturbed: Program, stream: EventStream, steps: TimeSteps) -> Traffic:
    follower = Follower(program)
    plan = make_plan(program, np.int32 if program.arithmetic != "float32" else np.float32)
    sample = run_clocked_sample(plan, stream, steps, [*program.parts], keep_spikes=True, follower=follower)
    return Traffic(
        program,
        unperturbed,
        stream,
        spikes=sample.spikes,
        causes=follower.causes(),
        arrivals=follower.arrivals(),
        starts_us=starts_of(stream, steps.number, steps.bins),
        bins=steps.bins,
    )
