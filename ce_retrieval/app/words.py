"""What the page calls methods, settings and stages, for people who have not read the manual."""

from __future__ import annotations

from ce_retrieval.app.filling import READ, SAVE
from ce_retrieval.completion import stages

METHODS = {
    "auto": ("Automatic", "Chooses for each part of the hole what suits it best."),
    "places": ("Same place", "Fills from other photos of the very same place, and from nothing else."),
    "scenes": ("Scenes", "Fills from the scene of the collection that fits best; you choose among twenty."),
    "retrieval": ("Whole photo", "Lays the most similar photo over the hole as it is. Fast, less exact."),
    "patchmatch": ("Patches", "Continues the textures around the hole."),
    "network": ("Network", "A neural network's guess, without any other photo. Blurred."),
}

#: What happens at this moment, for the status line; and the steps that are shown as a row.
STAGES = stages.STAGES | {READ: "reading the photo", SAVE: "writing the result"}
STEPS = {
    stages.SEARCH: "Search",
    stages.PLACES: "Same place",
    stages.PATCHES: "Patches",
    stages.PLACE: "Place",
    stages.CUT: "Cut",
    stages.BLEND: "Blend",
    stages.NETWORK: "Network",
    SAVE: "Save",
}
STEPS_OF = {
    "auto": (stages.SEARCH, stages.PLACES, stages.PATCHES, stages.PLACE, stages.CUT, stages.BLEND, SAVE),
    "places": (stages.PLACES, SAVE),
    "scenes": (stages.SEARCH, stages.PLACES, stages.PLACE, stages.CUT, stages.BLEND, SAVE),
    "retrieval": (stages.SEARCH, SAVE),
    "patchmatch": (stages.SEARCH, stages.PLACE, stages.CUT, stages.BLEND, stages.PATCHES, SAVE),
    "network": (stages.NETWORK, SAVE),
}

FEATURES = {"index": "surroundings", "kind": "kind of place", "places": "the very same place"}
RERANK = {
    "guided": "by what a network expects",
    "rim": "by the pixels next to the hole",
    "none": "as the search found them",
}
PARTS = {
    "places": "from other photos of the same place",
    "patchmatch": "from the photo's own patches",
    "scenes": "from a scene",
    "scenes+patchmatch": "from a scene, refined by patches",
    "network": "by a network",
}
