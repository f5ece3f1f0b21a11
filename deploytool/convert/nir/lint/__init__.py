"""What other frameworks would do with a NIR file: tables taken from the source of their importers and tested with them.

    importers.py   the frameworks, and the node types that each knows
    well_formed.py nodes that are not NIR's are refused
    rule.py        what a rule is, and the node that it judges
    structure.py   the rules about files, layers and wiring
    neurons.py     the rules about neurons
    report.py      all of these on a file

A node is kept, altered (it computes something else), dropped (it is not there any more) or refused (an error stops the
import). Nothing but NIR's own fields is read by any of them, so that our statements of reset, floor, spikes per update
and time step (nir/statements.py) survive only where an importer does the same of its own accord.
"""

from deploytool.convert.nir.lint.report import lint

__all__ = ["lint"]
