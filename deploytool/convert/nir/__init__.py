"""NIR, the Neuromorphic Intermediate Representation (Pedersen et al., 2024): read into and written from a Graph.

    hdf5.py        file <-> nested dictionaries; the only place that knows HDF5
    statements.py  what NIR cannot say, and we therefore state in the metadata of its nodes
    fields.py      the fields of one NIR node, read with care
    neurons.py     IF, LIF and CubaLIF <-> Spike: what a spike is to a neuron that takes currents
    nodes.py       one NIR node -> one node of ours
    wiring.py      subgraphs, missing inputs and outputs, nodes that do nothing, sums of several inputs
    concats.py     Concats, as sums
    read.py        all of these, in order
    write.py       Graph -> file
    lint/          what other frameworks would do with a file

Files are read field by field and not through the nir package, whose releases refuse each other's fields.
"""

from deploytool.convert.nir.read import read_nir
from deploytool.convert.nir.write import write_nir

__all__ = ["read_nir", "write_nir"]
