"""The Python API: one file per result, with the function that makes it. Each calls what the command line calls.

A function takes what a script holds, calls the workflow of its verb, and wraps the artifact that came back: its value,
one line of `repr`, a view for notebooks, and tables. `deploytool/__init__.py` lists what users see. Users write
`dt.open` and `dt.compile`, so these may be called like built-in functions, and ``set=`` is the option ``--set``.
"""
