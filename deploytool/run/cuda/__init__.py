"""The event-driven engine on a CUDA GPU: many samples at once, the same bits as on the CPU."""
