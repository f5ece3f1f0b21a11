"""Experiments that test the papers' claims on this machine: `deploytool bench claims`."""

from deploytool.bench.experiments.runner import claims as claims
from deploytool.bench.experiments.table import for_terminal as for_terminal
