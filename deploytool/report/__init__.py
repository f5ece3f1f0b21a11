"""One self-contained page for a person."""
