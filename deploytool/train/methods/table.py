"""The training methods by name. A new method needs a file or folder, a name in the recipe and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.train.everywhere import same_everywhere
from deploytool.train.methods.events import restrictions as events
from deploytool.train.methods.method import Method, Training
from deploytool.train.methods.ptl import restrictions as ptl
from deploytool.train.methods.trev import restrictions as trev
from deploytool.train.task import Task, Trained

if TYPE_CHECKING:
    from deploytool.train.network.spiking import SpikingNetwork


def _sdt() -> Training:
    from deploytool.train.methods.sdt import SDT

    return SDT


def _nmt() -> Training:
    from deploytool.train.methods.mtt import NMT

    return NMT


def _mtt() -> Training:
    from deploytool.train.methods.mtt import MTT

    return MTT


def _tit() -> Training:
    from deploytool.train.methods.tit import TIT

    return TIT


def _trev() -> Training:
    from deploytool.train.methods.trev.training import TREV

    return TREV


def _ptl() -> Training:
    from deploytool.train.methods.ptl.training import PTL

    return PTL


def _events() -> Training:
    from deploytool.train.methods.events.training import EVENTS

    return EVENTS


METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        "sdt": Method(
            "standard direct training: every layer runs the same fixed number of time steps", _sdt, kept_bytes=2.0
        ),
        "nmt": Method("MTT with one stage: one number of time steps, drawn for the whole network", _nmt),
        "mtt": Method(
            "mixed time-step training: every stage runs a number of time steps of its own, drawn for every batch", _mtt
        ),
        "tit": Method(
            "time inheritance training: few time steps first, then more, from the weights of the stage before", _tit
        ),
        "trev": Method(
            "temporal reversibility: the backward pass recomputes earlier membranes instead of storing them",
            _trev,
            restrictions=trev.restrictions,
            undeployable=trev.undeployable,
        ),
        "ptl": Method(
            "progressive tandem learning: a network with ReLUs is converted to a spiking network, layer by layer",
            _ptl,
            needs=ptl.needs,
            restrictions=ptl.restrictions,
            undeployable=ptl.undeployable,
            folds_norms=True,
            several_processes=False,
        ),
        "events": Method(
            "training on events: forward by the chip's emulator, backward along its spikes in windows of time",
            _events,
            needs=events.needs,
            restrictions=events.restrictions,
            several_processes=False,
            trains_on_events=True,
        ),
    }
)


def method_of(spec: TrainSection) -> Method:
    """The method that ``spec`` names."""
    return METHODS[spec.method]


def build(network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection) -> SpikingNetwork:
    """The network as ``spec.method`` runs it. Raises RecipeError when it is not possible."""
    return method_of(spec).training().build(network, constraints, spec)


def train(task: Task) -> Trained:
    """The trained weights, by the method that ``task.spec`` names, chosen on ``task.validation``.

    After every epoch ``task.folder`` holds a checkpoint. Training that finds its own checkpoint there resumes from it
    and ends with bit-identical weights (at the same number of threads). A checkpoint of another recipe or seed is
    overwritten. If training stops early, also because ``task.tick`` raises, the last checkpoint stays in place.
    Processes that torchrun started train together, and only the first writes.
    Raises RecipeError when the network is not possible or training diverges, ArtifactError for a checkpoint that is
    damaged or cannot be written, UsageError as `same_everywhere`.
    """
    with same_everywhere(task.spec):
        from deploytool.train import processes
        from deploytool.train.device import device_of

        with processes.together(device_of(task.spec)):
            return method_of(task.spec).training().train(task)
