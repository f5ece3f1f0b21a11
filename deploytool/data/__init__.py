"""Samples from data sets and files: events, or images and how they become events."""
