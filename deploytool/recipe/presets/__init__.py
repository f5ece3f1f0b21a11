"""Networks by name: the layers that [network] preset stands for.

A preset is a plain function of the input map (C, H, W) and its options to layers as a recipe writes them, with one
file per family. Layers have no biases; batch norms, if ``norm`` asks for them, fold into weights and biases
afterwards. If a paper divides its network into stages for MTT, the first layer of each is marked.

MTT is Du et al., ICLR 2025; TET is Deng et al., ICLR 2022; PTL is Wu et al., TPAMI 2021.
"""
