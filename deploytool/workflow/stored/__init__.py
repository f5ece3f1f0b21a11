"""What is known of an artifact in the store: its content in words and figures, and how it is made or run again."""
