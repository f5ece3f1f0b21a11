"""What is legal at which level: every rule as one record."""
