"""The verb package: a folder with everything that a board needs to run a program, and its known answer."""
