"""Exact nearest neighbours of vectors by FAISS, and the hole-aware distance on top."""
