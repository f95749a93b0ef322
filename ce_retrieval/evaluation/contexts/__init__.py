"""Measuring the nearest contexts of photos: their kind, and altered copies of known photos."""
