"""The event-driven engine on a CUDA GPU: runs many samples at once, with results bit-identical to the CPU's."""
