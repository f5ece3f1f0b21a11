"""The rules for legal programs at each level, one record per rule."""
