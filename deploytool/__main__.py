"""`python -m deploytool` is the `deploytool` command."""

from deploytool.cli import main

main()
