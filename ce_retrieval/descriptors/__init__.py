"""Photos as grids of cells: what an index stores, and compares with a photo that has a hole."""

from ce_retrieval.descriptors.base import Descriptor
from ce_retrieval.descriptors.cells import cell_weights, visible_share
from ce_retrieval.descriptors.registry import DESCRIPTORS, make_descriptor, protocol_spec, weights_hash

__all__ = [
    "DESCRIPTORS",
    "Descriptor",
    "cell_weights",
    "make_descriptor",
    "protocol_spec",
    "visible_share",
    "weights_hash",
]
