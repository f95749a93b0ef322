"""Filling a hole: from found content (blends, re-ranks by the rim) or from the photo alone (classical baselines)."""
