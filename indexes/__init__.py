"""Exact nearest neighbours of vectors by FAISS, and the hole-aware distance on top."""

OWNER = "ceret"  # tells this package from others of its name (`ce_retrieval.installation`)
