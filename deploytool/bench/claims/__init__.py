"""The papers' claims, each tried on this machine: `deploytool bench claims`."""

from deploytool.bench.claims.run import claims as claims
