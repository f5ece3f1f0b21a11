"""The contract of tests/contract.py on a device."""

from __future__ import annotations

from contract import ClockedContract


class TestDevice(ClockedContract):
    pass
