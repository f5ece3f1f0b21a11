"""The papers' claims, each tried on this machine: `deploytool bench claims`."""

from deploytool.bench.claims.run import claims as claims
from deploytool.bench.claims.table import for_terminal as for_terminal
