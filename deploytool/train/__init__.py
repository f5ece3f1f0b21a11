"""Training under the chip's constraints."""
