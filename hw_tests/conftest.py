"""Tests of a device run on the device that `--device` names. Without one they fail: not run is not passed."""

from __future__ import annotations

import pytest

from deploytool.base.errors import DeployError
from deploytool.chip.chips import chip_named
from deploytool.ir.target import Target
from deploytool.map.emit import configuration
from deploytool.run.targets.options import Options
from deploytool.run.targets.table import make_target


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", help="the device to test, such as speck2edevkit:0, or emulator")


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--device"):
        raise pytest.UsageError(
            "hw_tests test a device, and none was named: add --device NAME (speck2edevkit:0, emulator)"
        )
    try:
        _target(config)
    except DeployError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    return _target(request.config)


def _target(config: pytest.Config) -> Target:
    return make_target(
        config.getoption("--device"), Options(lambda program: configuration(program, chip_named(program.chip)))
    )
