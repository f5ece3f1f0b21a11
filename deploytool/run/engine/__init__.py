"""The event-driven and the clock-driven run, over batches of samples."""
