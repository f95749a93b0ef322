"""Evaluations under several kinds of holes, seeds and sizes of the collection, as a file says."""
