"""A board whose driver is the stand-in for samna, and whose time passes only where somebody waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest
from helpers.samna_api import Samna

from deploytool.chip.chips import CHIPS
from deploytool.ir.program import Program
from deploytool.map.emit import configuration
from deploytool.run.targets import board, board_live, board_play
from deploytool.run.targets.board import Board
from deploytool.run.targets.board_play import Timing
from deploytool.run.targets.options import AS_RECORDED, Configure, OnBoard

FAST: Final = Timing(settle_s=0.0, lead_us=1000, quiet_s=0.02, patience_s=5.0)


class StandIn:
    """``samna`` in place of the driver, for as long as ``monkeypatch`` lasts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, samna: Samna | None = None) -> None:
        self.samna = samna or Samna()
        monkeypatch.setattr(board, "load_samna", lambda: self.samna.module)
        for module in (board, board_live, board_play):
            monkeypatch.setattr(module, "time", self.samna.clock)

    @staticmethod
    def configure(program: Program) -> Mapping[str, Any]:
        return configuration(program, CHIPS[program.chip])

    def board(
        self,
        how: OnBoard = AS_RECORDED,
        configure: Configure | None = None,
        timing: Timing = FAST,
        name: str = "speck2edevkit:0",
    ) -> Board:
        return Board(name, configure or self.configure, how=how, timing=timing)
