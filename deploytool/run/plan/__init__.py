"""A program as the tables and arrays that the compiled loops read."""
