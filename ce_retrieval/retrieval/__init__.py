"""Context nearest neighbours: from a photo with a hole to the photos whose surroundings are most alike."""
