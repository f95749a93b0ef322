"""From the nearest contexts to an order of candidates: by the rim of the hole, or by a network's fill."""
