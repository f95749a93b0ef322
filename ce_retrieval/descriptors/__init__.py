"""Photos as grids of cells: what is stored of a collection, and compared with a photo that has a hole."""

from ce_retrieval.descriptors.base import DESCRIPTORS, Descriptor, make_descriptor, protocol_spec, weights_hash
from ce_retrieval.descriptors.cells import cell_weights, visible_share

__all__ = [
    "DESCRIPTORS",
    "Descriptor",
    "cell_weights",
    "make_descriptor",
    "protocol_spec",
    "visible_share",
    "weights_hash",
]
