"""Completion from other photos of the same place: what the hole hides is in them."""
