"""Holes: where they lie in evaluations and in training, and how mask files are read."""
