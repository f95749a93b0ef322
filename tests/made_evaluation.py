"""Evaluations made by hand: photos of noise, fills by methods that nobody ran, figures that are known."""

import numpy as np

from ce_retrieval.evaluation.measuring import MethodResult
from ce_retrieval.evaluation.methods import Method
from ce_retrieval.evaluation.queries import Queries
from ce_retrieval.evaluation.run import Evaluation
from ce_retrieval.evaluation.settings import EvaluationSettings, LeftOut
from ce_retrieval.evaluation.watch import Cost
from ce_retrieval.metrics import measure, summarise

SIDE = 32
METHODS = ("scenes", "patchmatch", "network", "oracle")


def made_evaluation(names, methods=METHODS, *, masks="center", more=(), seed=0):
    """An evaluation of photos of these names: method number n is wrong by up to 20 (n + 1) levels, `oracle` by none.

    more: names of further measures, with figures by chance.
    """
    rng = np.random.default_rng(seed)
    shape = (len(names), SIDE, SIDE, 3)
    ramp = np.add.outer(np.arange(SIDE), np.arange(SIDE))[None, ..., None] * 3
    photos = np.broadcast_to((ramp + rng.integers(0, 40, (*shape[:3], 1))).astype(np.uint8), shape)
    holes = np.zeros(shape[:3], bool)
    holes[:, 8:24, 8:24] = True
    results, fills = [], []
    for number, name in enumerate(methods):
        wrong = rng.integers(-20, 20, (*shape[:3], 1)) * (number + 1) * (name != "oracle")
        filled = np.where(holes[..., None], np.clip(photos.astype(int) + wrong, 0, 255).astype(np.uint8), photos)
        values = measure(photos, filled, holes)
        further = {one: rng.random(len(names)) for one in more}
        kind, base = ("pixels", name) if name == "oracle" else ("completion", name.partition("+")[0].partition(":")[0])
        cost = Cost(seconds=0.1 * (number + 1), memory=500.0, others=0.5 if number == 1 else 0.0)
        method = Method(name, kind, base)
        results.append(MethodResult(method, summarise(**values), None, {}, {}, cost, {**values, **further}))
        fills.append(filled[holes])
    return Evaluation(
        settings=EvaluationSettings(tuple(methods), masks=masks),
        queries=Queries(list(names), [""] * len(names), photos, holes),
        results=results,
        fills=fills,
        leaks=[],
        unreadable=[LeftOut("broken.jpg", "/home/somebody/photos/broken.jpg is not an image")],
        unserved=[],
        about={
            "region": "hole pixels",
            "range": "[0, 1]",
            "averaging": "mean",
            "seconds": "wall clock",
            "memory": "most",
            "size": SIDE,
            "collection": {"index": "/home/somebody/all.ceret", "photos": 9, "hole": "none"},
            "features": ["thumbnail"],
            "networks": [{"path": "/home/somebody/x.safetensors", "sha256": "ab" * 32, "architecture": "decoder"}],
            "perceptual": None,
            "libraries": {"numpy": "2.0"},
            "seen": {"methods": {"network": 2}, "unknown": ["/home/somebody/x.safetensors"]},
        },
        drawn=sorted(rng.permutation(len(names))[:4].tolist()),
        areas=holes.mean(axis=(1, 2)),
    )
