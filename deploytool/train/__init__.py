"""Training under the chip's constraints."""

import os

# The threads of torch otherwise keep their cores busy after each operation, while those of `network.threads` need them.
# It is read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
