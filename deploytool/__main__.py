"""The process of the `deploytool` command, also as `python -m deploytool`."""

from __future__ import annotations

from deploytool.cli.process import end, interrupts_end_the_process


def main() -> None:
    """Runs the command. An interrupt while it is being imported ends the process without a traceback."""
    interrupts_end_the_process()
    from deploytool.cli.app import main as run

    end(run)


if __name__ == "__main__":
    main()
