"""The targets: emulator, simulator, board."""
