"""Nearest neighbours over vectors: an exact numpy oracle, FAISS, and the hole-aware distance on top of either."""

OWNER = "ceret"  # tells this package from others of its name (`ce_retrieval.installation`)
