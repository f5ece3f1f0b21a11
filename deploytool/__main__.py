"""`python -m deploytool` is the `deploytool` command."""

from deploytool.cli.app import main

main()
