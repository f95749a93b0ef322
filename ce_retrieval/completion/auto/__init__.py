"""Completion by the method that fits each hole: scenes, the photo's own patches, both, or a network."""
