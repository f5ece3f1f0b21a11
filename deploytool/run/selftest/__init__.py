"""The self-test of a device: networks with known answers, and the open questions about the chip."""
