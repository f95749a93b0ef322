"""The stages that a completion tells, and what ends it."""

import numpy as np
import pytest

from ce_retrieval.completion.methods import make_completer
from ce_retrieval.completion.stages import STAGES, listener
from ce_retrieval.errors import PhotoError

QUICK = {"rerank": "rim", "aligned": 20, "kind": "none"}
SETTINGS = {
    "auto": {**QUICK, "places": "none"},
    "scenes": {**QUICK, "places": "none"},
    "retrieval": {"rerank": "rim"},
    "patchmatch": QUICK,
}
TOLD = {
    "auto": {"search", "patches", "place", "cut", "blend"},
    "scenes": {"search", "place", "cut", "blend"},
    "retrieval": {"search"},
    "patchmatch": {"search", "place", "cut", "blend", "patches"},
}


@pytest.fixture(scope="module")
def query(bundled_photos):
    photo = np.ascontiguousarray(bundled_photos[2][60:220:2, 100:300:2])
    hole = np.zeros(photo.shape[:2], bool)
    hole[20:60, 30:70] = True
    return photo, hole


@pytest.fixture(params=SETTINGS)
def completer(request, index, scenes):
    return make_completer(request.param, index, settings=SETTINGS[request.param], scenes=scenes, workers=2)


def test_a_method_tells_its_stages(completer, query):
    told = []
    filled = completer.complete(*query, progress=lambda *state: told.append(state))
    assert {stage for stage, _, _ in told} >= TOLD[completer.method] and all(stage in STAGES for stage, _, _ in told)
    assert all(0 <= done <= total for _, done, total in told)
    assert told[0][0] == "search" and listener() is None
    np.testing.assert_array_equal(filled.best, completer.complete(*query).best)


@pytest.mark.parametrize("last", ["search", "cut", "blend"])
def test_what_the_listener_raises_ends_the_work(index, scenes, query, last):
    class Enough(Exception):
        pass

    told = []

    def stop(stage, done, total):
        told.append(stage)
        if stage == last:
            raise Enough

    completer = make_completer("auto", index, settings=SETTINGS["auto"], scenes=scenes, workers=2)
    with pytest.raises(Enough):
        completer.complete(*query, progress=stop)
    assert told[-1] == last and listener() is None


def test_the_stages_of_the_network_and_of_places(index, scenes, query, tiny_weights):
    told = []
    network = make_completer("network", settings={"weights": str(tiny_weights)})
    network.complete(*query, progress=lambda *state: told.append(state[0]))
    assert told == ["network"]
    told.clear()
    places = make_completer("places", index, scenes=scenes)
    with pytest.raises(PhotoError, match=r"no other photo shows this place|not what surrounds|of the hole is in"):
        places.complete(*query, progress=lambda *state: told.append(state[0]))
    assert "places" in told
