"""Completion by patches of the photo itself and of its scenes (PatchMatch)."""
