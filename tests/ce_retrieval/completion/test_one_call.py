"""`ce_retrieval.complete`: one call, every method."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ce_retrieval
from ce_retrieval.completion.methods import METHODS
from ce_retrieval.errors import SettingsError

RIM = {"rerank": "rim"}


@pytest.fixture(scope="module")
def photo(bundled_photos) -> np.ndarray:
    return np.ascontiguousarray(bundled_photos[2][60:220:2, 100:300:2])


@pytest.fixture(scope="module")
def hole() -> np.ndarray:
    hole = np.zeros((80, 100), bool)
    hole[30:50, 35:65] = True
    return hole


@pytest.mark.parametrize("method", [method for method in METHODS if method != "places"])  # see places/
def test_every_method(photo, hole, crop_index, tiny_weights, tmp_path, method):
    index = None if method == "network" else crop_index
    done = ce_retrieval.complete(photo, hole, index, method=method, workers=1, weights=tiny_weights)
    kept = ~hole if done.seam is None else done.seam == 0
    np.testing.assert_array_equal(done.best[kept], photo[kept])
    assert (done.best[hole] != photo[hole]).any()
    record = done.provenance()
    assert record["method"] == method and record["network"]["path"] == str(tiny_weights)
    assert len(done.candidates) == {"network": 0, "patchmatch": 1}.get(method, 20)
    assert done.save(tmp_path / "new" / "a.png") == tmp_path / "new" / "a.png"
    np.testing.assert_array_equal(ce_retrieval.load_photo(tmp_path / "new" / "a.png").pixels, done.best)
    assert json.loads((tmp_path / "new" / "a.json").read_text())["settings"]["weights"] == str(tiny_weights)


def test_settings_are_those_of_the_method(photo, hole, index):
    options = {**RIM, "top": 4, "pick": 3, "seam": 0.0, "aligned": 10, "candidate_fills": True}
    done = ce_retrieval.complete(photo, hole, index, method="scenes", **options)
    assert len(done.candidates) == len(done.fills) == 4 and done.candidates[2].share == 1 and done.seam is None
    np.testing.assert_array_equal(done.best, done.fills[2])
    assert Path(done.candidates[0].photo).exists()
    with pytest.raises(SettingsError, match="auto has no setting 'k': choose among rerank"):
        ce_retrieval.complete(photo, hole, index, k=3)
    with pytest.raises(SettingsError, match="`method` 'magic' is unknown: choose one of auto"):
        ce_retrieval.complete(photo, hole, index, method="magic")
    with pytest.raises(SettingsError, match="`method` scenes needs an `index`"):
        ce_retrieval.complete(photo, hole, method="scenes")
    with pytest.raises(SettingsError, match="network makes one fill and has no candidates: leave `candidate_fills`"):
        ce_retrieval.complete(photo, hole, method="network", candidate_fills=True)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            {"terms": 5},
            "`terms` is 5: expected weights by ranking term, as in {'gist': 0}; the terms are scene, context",
        ),
        ({"terms": ["gist"]}, r"`terms` is \['gist'\]: expected weights by ranking term"),
        ({"where": 5}, "`where` is 5: expected a text"),
        ({"weights": 5}, "`weights` is 5: expected a text"),
        ({"origin": 5}, "`origin` is 5: expected the path of the photo's file"),
        ({"method": ["scenes"]}, r"`method` \['scenes'\] is unknown: choose one of"),
        ({"index": 5}, "`index` is 5: expected an open index or its path"),
        ({"rerank": ["rim"]}, r"`rerank` is \['rim'\]: expected one of none, rim, guided"),
        ({"workers": 0}, "`workers` is 0: expected a whole number from 1"),
    ],
)
def test_values_of_another_type_are_named(photo, hole, index, argument, message):
    with pytest.raises(SettingsError, match=message):
        ce_retrieval.complete(photo, hole, **{"index": index, **argument})


def test_as_many_scenes_are_placed_as_asked_beyond_the_candidates(photo, hole, index):
    """The command line cannot set `candidates`, so `aligned` alone decides there; from Python it does so, too."""

    def placed(**settings) -> list[int]:
        done = ce_retrieval.complete(photo, hole, index, **RIM, top=20, where="label == 'photo1'", **settings)
        return [candidate.context_rank for candidate in done.candidates]

    beyond = placed(aligned=400, candidates=3)
    assert sorted(beyond) == list(range(1, 16)) and beyond == placed(aligned=400)
    assert sorted(placed(aligned=9, candidates=3)) == list(range(1, 10))


def test_patches_come_from_the_best_of_the_scenes_that_were_asked_for(photo, hole, index):
    def best(**settings) -> list[int]:
        done = ce_retrieval.complete(photo, hole, index, method="patchmatch", **RIM, **settings)
        return [candidate.context_rank for candidate in done.candidates]

    assert best(aligned=1, candidates=1) == [1]
    assert best(aligned=10, candidates=1) == best(aligned=10) == [2]


@pytest.mark.parametrize("method", ["scenes", "retrieval", "patchmatch"])
def test_weights_reach_the_guided_re_rank(photo, hole, index, tiny_weights, center_weights, method):
    """Scenes are compared with the fill of these very weights."""
    few = {"aligned": 12} if method != "retrieval" else {"k": 12}
    one, other = (
        ce_retrieval.complete(photo, hole, index, method=method, rerank="guided", weights=str(weights), **few)
        for weights in (tiny_weights, center_weights)
    )
    assert [done.network["path"] for done in (one, other)] == [str(tiny_weights), str(center_weights)]
    assert one.candidates[0].scores["content"] != other.candidates[0].scores["content"]
    assert one.settings.weights == str(tiny_weights)


@pytest.mark.parametrize("with_index", [False, True])
def test_weights_reach_the_start_of_patches(photo, hole, index, tiny_weights, center_weights, with_index):
    given = {"index": index, **RIM, "aligned": 3, "sources": 0} if with_index else {}
    one, other, smooth = (
        ce_retrieval.complete(photo, hole, method="patchmatch", **given, **start)
        for start in (
            {"start": "network", "weights": str(tiny_weights)},
            {"start": "network", "weights": str(center_weights)},
            {"start": "smooth"},
        )
    )
    assert [done.network["path"] for done in (one, other)] == [str(tiny_weights), str(center_weights)]
    assert smooth.network is None
    assert (one.best != other.best).any() and (one.best != smooth.best).any()


def test_the_import_is_light():
    code = (
        "import sys\nfrom ce_retrieval import complete, SceneCompleter\n"
        "heavy = {'torch', 'faiss', 'numba', 'cv2', 'scipy.sparse', 'ortools'} & set(sys.modules)\nassert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
