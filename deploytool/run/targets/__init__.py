"""What runs a program: emulator, simulator, board."""
