"""The verbs of the command line, one file each: artifact in, stage, artifact out.

What a verb begins with, networks, samples and recordings that a user names, comes from `sources`. What is said of an
artifact in the store comes from `stored`.
"""
