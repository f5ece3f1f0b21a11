"""The commands, one per file: each turns its options into one call of a workflow and shows what came back."""
