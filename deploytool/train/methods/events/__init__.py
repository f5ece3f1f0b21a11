"""Training on events: forward by the chip's emulator, backward along the windows of its spikes."""
