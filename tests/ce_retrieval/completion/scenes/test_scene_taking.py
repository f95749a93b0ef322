"""Another candidate is taken from a completion: what a new completion with that `pick` makes, bit for bit, without its work."""

import copy
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from scene_cases import SHAPE, hole_of, index_of, of_size

from ce_retrieval.completion.result import Completion
from ce_retrieval.completion.scenes import completer as scenes_of
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.settings import SceneSettings
from ce_retrieval.errors import PhotoError, SettingsError
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.pixels import grey_as_rgb

SETTINGS = SceneSettings(places="none", rerank="rim", allow_same_photo=True, top=4)
HOLE = hole_of(np.s_[25:53, 35:65], np.s_[30:35, 65:70])


def same(taken, anew) -> None:
    """Two completions are equal in all that they say and write."""
    np.testing.assert_array_equal(taken.best, anew.best)
    assert (taken.seam is None) == (anew.seam is None)
    if anew.seam is not None:
        np.testing.assert_array_equal(taken.seam, anew.seam)
    assert json.dumps(taken.provenance()) == json.dumps(anew.provenance())
    assert (taken.notes, taken.lost, taken.copies, taken.parts) == (anew.notes, anew.lost, anew.copies, anew.parts)
    for one, other in zip(taken.thumbnails, anew.thumbnails, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def unsearched(monkeypatch):
    """A function after whose call no scene may be searched or placed."""

    def forbidden(*given, **more):
        raise AssertionError("searched or placed again")

    def forbid():
        monkeypatch.setattr(scenes_of, "fit_scenes", forbidden)
        monkeypatch.setattr(SceneCompleter, "queries", forbidden)

    return forbid


@pytest.mark.parametrize(
    ("changes", "grey"),
    [({}, False), ({"seam": 0.0}, True), ({"side": 60, "mixed": True}, False), ({"side": 60, "seam": 0.0}, False)],
    ids=str,
)
def test_what_is_taken_is_what_a_new_completion_makes(index, truth, unsearched, changes, grey):
    photo = grey_as_rgb(truth) if grey else truth
    settings = replace(SETTINGS, **changes)
    first = SceneCompleter(index, settings).complete(photo, HOLE, candidate_fills=True)
    anew = SceneCompleter(index, replace(settings, pick=3)).complete(photo, HOLE, candidate_fills=True)
    unsearched()
    same(first.take(3), anew)
    same(first.take(2).take(3).take(1), first)
    assert [np.array_equal(first.take(2).best, fill) for fill in first.fills] == [False, True, False, False]


@pytest.mark.slow
def test_what_is_expected_is_kept(index, truth, tiny_weights, unsearched):
    settings = replace(SETTINGS, rerank="guided", weights=str(tiny_weights))
    completer = SceneCompleter(index, settings)
    first = completer.complete(truth, HOLE)
    anew = SceneCompleter(index, replace(settings, pick=2)).complete(truth, HOLE)
    unsearched()
    assert first.expected == "network"
    same(first.take(2), anew)
    del completer  # and with it the solvers
    same(first.take(2), anew)


def test_a_photo_of_the_indexs_size(tmp_path, scenes, truth):
    index = index_of(tmp_path, scenes)
    photo, hole = of_size(truth, 64, 64), hole_of(np.s_[20:40, 20:44], shape=(64, 64))
    anew = SceneCompleter(index, replace(SETTINGS, pick=2)).complete(photo, hole)
    same(SceneCompleter(index, SETTINGS).complete(photo, hole).take(2), anew)


def test_what_cannot_be_taken_is_said(index, truth, tmp_path, scenes):
    done = SceneCompleter(index, SETTINGS).complete(truth, HOLE)
    for wrong in (0, 5, -1, 1.0, "2", None):
        with pytest.raises(SettingsError, match=r"^`pick` is .*: expected 1 to 4$"):
            done.take(wrong)
    for other in (
        Completion(truth, HOLE, None, "patchmatch"),
        pickle.loads(pickle.dumps(done)),
        copy.deepcopy(done),
    ):
        with pytest.raises(SettingsError, match="complete the photo again, by `method` scenes with `pick`"):
            other.take(1)
    assert pickle.loads(pickle.dumps(done)).provenance() == done.provenance()
    told: list = []
    done.take(2, progress=lambda *stage: told.append(stage))
    assert told == [("blend", 0, 1)]


def test_a_scene_that_is_gone_is_said(tmp_path, truth, scenes):
    done = SceneCompleter(index_of(tmp_path, scenes), SETTINGS).complete(truth, HOLE)
    for path in (tmp_path / "scenes").glob("*.png"):
        path.unlink()
    with pytest.raises(PhotoError, match=r"\.png"):
        done.take(2)


def test_little_is_kept(index, truth):
    """Without the pictures of the completion, and without the photo, which is the caller's."""
    taking = SceneCompleter(index, SETTINGS).complete(truth, HOLE).taking
    assert taking.photo is truth and taking.hole is HOLE
    arrays = [*taking.region.working[:2], *(a for a in taking.region if isinstance(a, np.ndarray))]
    kept = sum(a.nbytes for a in arrays if a is not truth and a is not HOLE)
    kept += sum(one.fitted.taken.nbytes + one.fitted.square.nbytes for one in taking.kept)
    assert kept <= 10 * SHAPE[0] * SHAPE[1]
    assert not any(isinstance(value, SceneCompleter | PhotoCache) for value in vars(taking).values())
