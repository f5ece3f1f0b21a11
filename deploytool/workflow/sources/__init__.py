"""What a verb begins with: networks, samples and recordings that a user names, or that a script holds."""
