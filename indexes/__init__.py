"""Nearest neighbours over vectors: an exact numpy oracle, FAISS, and the hole-aware distance on top of either."""
