"""Context nearest neighbours: from a photo with a hole to the photos whose surroundings are most alike."""

from ce_retrieval.retrieval.kind_search import kind_similarity
from ce_retrieval.retrieval.neighbor import Neighbor, neighbor_photos, neighbors_of
from ce_retrieval.retrieval.query import check_query, hinted, protocol_hole, square_query
from ce_retrieval.retrieval.search import default_focus, find_neighbors, search_apart, search_contexts

__all__ = [
    "Neighbor",
    "check_query",
    "default_focus",
    "find_neighbors",
    "hinted",
    "kind_similarity",
    "neighbor_photos",
    "neighbors_of",
    "protocol_hole",
    "search_apart",
    "search_contexts",
    "square_query",
]
