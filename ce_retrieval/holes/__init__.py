"""Holes: drawn for evaluations, read from mask files, resized, and filled with a mean colour."""
