"""Trained models that ship with deploytool: what they are, and what was measured with them."""
