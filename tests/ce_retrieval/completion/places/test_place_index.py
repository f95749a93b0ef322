"""Photos of the place in an index: found by their local features or as scenes, first among the scenes, and else no change."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from place_cases import HOLE, others_of
from place_views import psnr, removed, saved

from ce_retrieval import make_completer
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.settings import AutoSettings, PlaceSettings, SceneSettings
from ce_retrieval.errors import PhotoError
from ce_retrieval.photo_index import IndexSettings, Origin, PhotoIndex, build_index

SCENES = {"rerank": "rim", "aligned": 6, "top": 4, "seam": 0.0}


@pytest.fixture(scope="module")
def truth(bundled_photos) -> np.ndarray:
    return bundled_photos[2]


@pytest.fixture(scope="module")
def photo(truth) -> np.ndarray:
    return removed(truth, HOLE)


@pytest.fixture(scope="module")
def unrelated(bundled_photos, tmp_path_factory):
    """A folder of 18 photos of other things."""
    face, cat, _, rocket = bundled_photos
    pieces = {
        f"{name}{row}{col}": thing[row * 90 : row * 90 + 200, col * 100 : col * 100 + 250]
        for name, thing in (("face", face), ("cat", cat), ("rocket", rocket))
        for row in range(2)
        for col in range(3)
    }
    return saved(tmp_path_factory.mktemp("unrelated") / "things", **pieces)


@pytest.fixture(scope="module")
def place(truth, tmp_path_factory):
    """A folder of two views of the place."""
    views = others_of(truth)
    return saved(tmp_path_factory.mktemp("place") / "place", turned=views["turned"], near=views["near"])


@pytest.fixture(scope="module")
def built(unrelated, place, tmp_path_factory):
    """A function that opens an index of the unrelated photos: with the place, with local features."""
    made = {}

    def index(*, shown: bool = True, places: bool = True) -> PhotoIndex:
        if (shown, places) not in made:
            path = tmp_path_factory.mktemp("index") / "photos.ceret"
            settings = IndexSettings(features="thumbnail:16", size=64, workers=2, kind="none", places=places)
            build_index([unrelated, place] if shown else [unrelated], path, settings)
            made[shown, places] = PhotoIndex.open(path)
        return made[shown, places]

    return index


def stems(done) -> list[str]:
    return [candidate.photo.rpartition("/")[2][:-4] for candidate in done.candidates]


@pytest.mark.parametrize("method", ["places", "auto", "scenes"])
def test_a_place_among_other_photos_is_found(built, photo, truth, method):
    settings = {"seam": 0.0} if method == "places" else SCENES
    done = make_completer(method, built(), workers=2, settings=settings).complete(photo, HOLE)
    assert psnr(done.best, truth, HOLE) >= 27
    np.testing.assert_array_equal(done.best[~HOLE], truth[~HOLE])
    assert [part.method for part in done.parts] == ["places"] and done.candidates[0].homography is not None
    assert set(stems(done)[:1]) <= {"turned", "near"}
    assert any(note.startswith("filled from ") for note in done.notes)
    assert done.index is not None and done.others is None


def test_without_local_features_the_likeliest_scenes_are_looked_at(built, photo, truth):
    """All twenty photos are, here."""
    done = make_completer("places", built(places=False), workers=2, settings={"seam": 0.0}).complete(photo, HOLE)
    assert psnr(done.best, truth, HOLE) >= 27 and set(stems(done)) <= {"turned", "near"}


@pytest.mark.parametrize("places", [True, False])
@pytest.mark.parametrize("method", [pytest.param("auto", marks=pytest.mark.slow), "scenes"])
def test_where_no_photo_shows_the_place_nothing_changes(built, photo, method, places):
    looked, not_looked = (
        make_completer(method, built(shown=False, places=places), workers=2, settings={**SCENES, **more}).complete(
            photo, HOLE
        )
        for more in ({}, {"places": "none"})
    )
    np.testing.assert_array_equal(looked.best, not_looked.best)
    assert looked.candidates == not_looked.candidates and looked.notes == not_looked.notes
    assert looked.provenance() | {"settings": 0} == not_looked.provenance() | {"settings": 0}


def test_method_places_says_that_no_photo_shows_it(built, photo):
    for places in (True, False):
        with pytest.raises(
            PhotoError,
            match="no other photo shows this place: give photos of it; or set `method` to auto, which fills by other means",
        ):
            make_completer("places", built(shown=False, places=places), workers=1).complete(photo, HOLE)


def test_only_photos_that_satisfy_where_fill(built, photo):
    only = make_completer("places", built(), settings={"where": "height == 400 and label != 'none'"}, workers=2)
    assert set(stems(only.complete(photo, HOLE))) <= {"turned", "near"}
    for method, settings in (("places", {}), ("scenes", SCENES), ("auto", SCENES)):
        given = {**settings, "where": "label == 'things' or width < 300"}
        completer = make_completer(method, built(), settings=given, workers=2)
        if method == "places":
            with pytest.raises(PhotoError, match="no other photo shows this place"):
                completer.complete(photo, HOLE)
        else:
            assert not set(stems(completer.complete(photo, HOLE))) & {"turned", "near"}


@pytest.mark.slow
def test_photos_of_the_same_source_are_left_out_where_that_is_asked_for(built, photo, place):
    """The photo lies in the folder of the views."""
    origin = Origin(place / "photo.jpg", hashlib.sha256(b"photo").hexdigest())
    for apart in (False, True):
        completer = make_completer("scenes", built(), settings={**SCENES, "exclude_same_source": apart}, workers=2)
        done = completer.complete(photo, HOLE, origin=origin)
        assert bool(set(stems(done)) & {"turned", "near"}) != apart
    completer = make_completer("places", built(), settings={"exclude_same_source": True}, workers=2)
    with pytest.raises(PhotoError, match="no other photo shows this place"):
        completer.complete(photo, HOLE, origin=origin)


def test_the_place_is_the_first_candidate_and_the_scenes_follow(built, photo, truth):
    completer = make_completer("scenes", built(), settings=SCENES, workers=2)
    alone = make_completer("scenes", built(), settings={**SCENES, "places": "none"}, workers=2)
    done, scenes = (one.complete(photo, HOLE, candidate_fills=True) for one in (completer, alone))
    assert [candidate.rank for candidate in done.candidates] == [1, 2, 3, 4]
    assert [candidate.share for candidate in done.candidates] == [1, 0, 0, 0]
    assert stems(done)[1:] == stems(scenes)[:3] and "agreement" in done.candidates[0].scores
    assert len(done.fills) == len(done.thumbnails) == len(done.neighbors) == 4
    np.testing.assert_array_equal(done.fills[0], done.best)
    for fill, expected in zip(done.fills[1:], scenes.fills[:3], strict=True):
        np.testing.assert_array_equal(fill, expected)


def test_another_candidate_can_be_picked(built, photo):
    scenes = make_completer("scenes", built(), settings={**SCENES, "places": "none"}, workers=2).complete(photo, HOLE)
    second = make_completer("scenes", built(), settings={**SCENES, "pick": 2}, workers=2).complete(photo, HOLE)
    np.testing.assert_array_equal(second.best, scenes.best)
    assert [candidate.share for candidate in second.candidates] == [0, 1, 0, 0]
    assert not second.parts and not any("filled from" in note for note in second.notes)
    assert second.candidates[0].homography is not None and second.settings.pick == 2


def test_one_candidate_is_the_place(built, photo, truth):
    done = make_completer("scenes", built(), settings={**SCENES, "top": 1}, workers=2).complete(photo, HOLE)
    assert len(done.candidates) == 1 and psnr(done.best, truth, HOLE) >= 27
    assert done.index is not None and done.provenance()["index"] == done.index


def test_where_the_others_do_not_fill_the_index_does(built, photo, truth, bundled_photos, tmp_path):
    """Ids of the others are not those of the index's photos."""
    cats = saved(
        tmp_path / "cats",
        **{f"cat{number:02d}": np.roll(bundled_photos[1], 30 * number, axis=1) for number in range(22)},
    )
    done = make_completer("places", built(), others=cats, settings={"seam": 0.0}, workers=2).complete(photo, HOLE)
    assert psnr(done.best, truth, HOLE) >= 27 and set(stems(done)) <= {"turned", "near"}


def test_a_copy_among_the_others_does_not_spoil_the_index(built, photo, truth, tmp_path):
    """Every photo of the others is a copy of the photo, under the ids of the views in the index."""
    copies = saved(tmp_path / "copies", **{f"copy{number:02d}": photo for number in range(20)})
    done = make_completer("places", built(), others=copies, settings={"seam": 0.0}, workers=2).complete(photo, HOLE)
    assert psnr(done.best, truth, HOLE) >= 27 and len(done.copies) == 20


def test_settings_are_those_of_each_method():
    assert AutoSettings().places == SceneSettings().places == "auto"
    assert not hasattr(PlaceSettings(), "places") and replace(SceneSettings(), places="none").places == "none"


@pytest.mark.slow
def test_a_scene_is_taken_in_place_of_the_place_and_the_other_way_round(built, photo, monkeypatch):
    """Each is what a completion with that `pick` makes."""
    settings = {**SCENES, "seam": 8.0, "top": 3}
    anew = [
        make_completer("scenes", built(), workers=2, settings={**settings, "pick": pick}).complete(photo, HOLE)
        for pick in (1, 2)
    ]
    assert anew[0].parts and not anew[1].parts
    monkeypatch.setattr(SceneCompleter, "queries", None)
    for done in anew:
        for pick, wanted in enumerate(anew, start=1):
            taken = done.take(pick)
            np.testing.assert_array_equal(taken.best, wanted.best)
            np.testing.assert_array_equal(taken.seam, wanted.seam)
            assert taken.provenance() == wanted.provenance() and taken.notes == wanted.notes
