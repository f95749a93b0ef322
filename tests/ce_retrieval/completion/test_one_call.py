"""`ce_retrieval.complete`: one call, every method."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ce_retrieval
from ce_retrieval.completion.settings import METHODS
from ce_retrieval.errors import PhotoIndexError
from ce_retrieval.photo_index import PhotoIndex


@pytest.fixture(scope="module")
def photo(bundled_photos) -> np.ndarray:
    return np.ascontiguousarray(bundled_photos[2][60:220:2, 100:300:2])


@pytest.fixture(scope="module")
def hole() -> np.ndarray:
    hole = np.zeros((80, 100), bool)
    hole[30:50, 35:65] = True
    return hole


@pytest.mark.parametrize("method", METHODS)
def test_every_method(photo, hole, crop_index, tiny_weights, tmp_path, method):
    index = None if method == "encoder" else crop_index
    weights = {"weights": str(tiny_weights)} if method == "encoder" else {}
    done = ce_retrieval.complete(photo, hole, index, method=method, workers=1, **weights)
    kept = ~hole if done.seam is None else done.seam == 0
    np.testing.assert_array_equal(done.best[kept], photo[kept])
    assert (done.best[hole] != photo[hole]).any()
    assert done.provenance()["method"] == method
    assert len(done.candidates) == {"encoder": 0, "patchmatch": 1}.get(method, 20)
    assert done.save(tmp_path / "new" / "a.png") == tmp_path / "new" / "a.png"
    np.testing.assert_array_equal(ce_retrieval.load_photo(tmp_path / "new" / "a.png").pixels, done.best)
    assert (tmp_path / "new" / "a.json").exists()


def test_settings_are_those_of_the_method(photo, hole, crop_index):
    index = PhotoIndex.open(crop_index)
    done = ce_retrieval.complete(
        photo, hole, index, rerank="rim", top=4, pick=3, seam=0.0, aligned=10, candidate_fills=True
    )
    assert len(done.candidates) == len(done.fills) == 4 and done.candidates[2].share == 1 and done.seam is None
    np.testing.assert_array_equal(done.best, done.fills[2])
    assert Path(done.candidates[0].photo).exists()
    with pytest.raises(PhotoIndexError, match="scenes has no setting 'k': choose among rerank"):
        ce_retrieval.complete(photo, hole, index, k=3)
    with pytest.raises(PhotoIndexError, match="method 'magic' is unknown: choose one of scenes"):
        ce_retrieval.complete(photo, hole, index, method="magic")
    with pytest.raises(PhotoIndexError, match="scenes needs an index"):
        ce_retrieval.complete(photo, hole)


def test_the_import_is_light():
    code = (
        "import sys\nfrom ce_retrieval import complete, SceneCompleter\n"
        "heavy = {'torch', 'faiss', 'numba', 'cv2', 'scipy.sparse', 'ortools'} & set(sys.modules)\nassert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
