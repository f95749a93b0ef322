"""Photos of the same place: local features, the geometry between two photos, and the search for such photos."""
