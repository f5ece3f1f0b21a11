"""The verbs of the command line, one file each: artifact in, stage, artifact out."""
