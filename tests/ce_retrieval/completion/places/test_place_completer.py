"""Method `places`: what is really there fills the hole, from one photo or from several, at the photo's own size."""

import json

import cv2
import numpy as np
import pytest
from place_cases import HOLE, LEFT, NEAR, SIZE, TURNED, crossed, facade, others_of
from place_views import apart, lit, moved, oval, psnr, removed, saved, seen, turned
from skimage import data

import ce_retrieval
from ce_retrieval import make_completer
from ce_retrieval.completion.places.others import OtherPhotos
from ce_retrieval.completion.result import Completion
from ce_retrieval.errors import PhotoError
from ce_retrieval.pixels import to_grey


@pytest.fixture(scope="module")
def truth(bundled_photos) -> np.ndarray:
    return bundled_photos[2]


@pytest.fixture(scope="module")
def views(truth) -> dict[str, np.ndarray]:
    return others_of(truth)


@pytest.fixture
def fill(tmp_path):
    """A function that fills a hole from other photos by a method."""

    def filled(photo, hole, others, method="places", **settings) -> Completion:
        given = OtherPhotos(saved(tmp_path / "others", **others))
        completer = make_completer(method, others=given, workers=2, settings=settings)
        return completer.complete(removed(photo, hole), hole)

    return filled


def test_a_photo_that_is_turned_smaller_and_darker_fills(truth, views, fill):
    done = fill(truth, HOLE, {"turned": views["turned"]}, seam=0.0)
    assert psnr(done.best, truth, HOLE) >= 27
    np.testing.assert_array_equal(done.best[~HOLE], truth[~HOLE])
    assert done.seam is None and done.method == "places" and done.network is None and done.index is None
    (first,) = done.candidates
    assert first.photo.endswith("turned.png") and first.share == 1 and first.scores["inliers"] >= 10
    assert (first.offset, first.scale, first.context_rank) == (None, None, None)
    assert apart(np.array(first.homography), TURNED, HOLE) < 0.5
    assert done.notes == (f"filled from 1 photo of the same place: {first.photo}",)


def test_the_record_says_what_it_was_filled_from(truth, views, fill, tmp_path):
    done = fill(truth, HOLE, views)
    record = done.provenance()
    json.dumps(record, allow_nan=False)
    assert record["method"] == "places" and record["index"] is None and record["network"] is None
    assert record["others"]["photos"] == 3 and record["others"]["path"] == str(tmp_path / "others")
    (part,) = record["parts"]
    assert part["method"] == "places" and part["pixels"] == HOLE.sum() and part["evidence"]["agreement"] > 0.5
    shares = [one["share"] for one in record["candidates"]]
    assert sum(shares) == pytest.approx(1) and shares == sorted(shares, reverse=True)
    used = [part["scene"], *part.get("more", [])]
    assert [one["photo"] for one in used] == [one["photo"] for one in record["candidates"] if one["share"]]
    assert all(np.shape(one["homography"]) == (3, 3) for one in record["candidates"])
    assert done.save(tmp_path / "out" / "a.png").exists() and len(done.thumbnails) == len(done.candidates)


@pytest.mark.parametrize("seam", [0.0, 16.0])
def test_only_the_hole_and_the_seam_change(truth, views, fill, seam):
    done = fill(truth, HOLE, views, seam=seam)
    changed = (done.best != removed(truth, HOLE)).any(axis=2)
    assert psnr(done.best, truth, HOLE) >= 27
    if seam:
        assert not (changed & ~HOLE & (done.seam == 0)).any() and (done.seam[~HOLE] > 0).any()
        assert psnr(done.best, truth, ~HOLE & (done.seam > 0)) > 27, "beside the hole nothing changes much"
    else:
        assert done.seam is None and not (changed & ~HOLE).any()


def test_below_the_photos_size_the_fill_is_as_sharp(truth, views, fill):
    """Scenes are sampled once, from their own pixels."""
    whole, small = (fill(truth, HOLE, {"near": views["near"]}, seam=0.0, side=side) for side in (1024, 250))
    assert psnr(small.best, whole.best, HOLE) > 28 and psnr(small.best, truth, HOLE) >= 27
    np.testing.assert_array_equal(small.best[~HOLE], truth[~HOLE])

    def detail(photo) -> float:
        return float(np.abs(cv2.Laplacian(to_grey(photo).astype(np.float32), cv2.CV_32F))[HOLE].mean())

    blurred = cv2.resize(cv2.resize(truth, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA), SIZE[::-1])
    assert detail(small.best) > 0.85 * detail(whole.best) > 1.5 * detail(blurred)


def test_a_grey_photo_stays_grey(truth, views, fill):
    grey = np.repeat(to_grey(truth)[..., None], 3, axis=2)
    done = fill(grey, HOLE, views, seam=0.0)
    assert done.grey and (np.ptp(done.best[HOLE].astype(int), axis=1) == 0).all()
    assert psnr(done.best, grey, HOLE) >= 27


def test_holes_far_apart_are_filled_each(truth, views, fill):
    other = oval(SIZE, (130, 180), (25, 30))
    done = fill(truth, HOLE | other, views, seam=0.0)
    assert [part.pixels for part in done.parts] == [HOLE.sum(), other.sum()]
    assert all(psnr(done.best, truth, hole) >= 26 for hole in (HOLE, other))
    np.testing.assert_array_equal(done.best[~(HOLE | other)], truth[~(HOLE | other)])


def test_two_planes_fill_their_own_holes(truth, fill):
    """The left half of the other photo moves one way, the right half another."""
    left, right = moved(-14, 8), moved(12, -10)
    view = np.concatenate([seen(truth, left)[:, :280], seen(truth, right)[:, 280:]], axis=1)
    holes = oval(SIZE, (250, 120), (30, 30)), oval(SIZE, (190, 420), (30, 35))
    done = fill(truth, holes[0] | holes[1], {"view": view}, seam=0.0)
    assert all(psnr(done.best, truth, hole) >= 27 for hole in holes)


@pytest.mark.parametrize("who", [0, 1, 2])
def test_someone_whom_one_photo_shows_is_not_put_in(truth, views, fill, who):
    name, homography = list(zip(views, (TURNED, LEFT, NEAR), strict=True))[who]
    done = fill(truth, HOLE, {**views, name: crossed(views[name], homography, HOLE)}, seam=0.0)
    assert psnr(done.best, truth, HOLE) >= 26
    red = (done.best[..., 0].astype(int) - done.best[..., 1] > 120) & HOLE
    expected = (truth[..., 0].astype(int) - truth[..., 1] > 120) & HOLE
    assert red.sum() <= expected.sum() + 20


def test_what_one_photo_does_not_show_comes_from_another(truth, fill):
    """Each photo ends within the hole."""
    one, other = moved(-310, 0), moved(250, 0)
    done = fill(truth, HOLE, {"right": seen(truth, one), "left": seen(truth, other)}, seam=0.0)
    assert psnr(done.best, truth, HOLE) >= 27
    assert sorted(c.photo[-9:-4] for c in done.candidates if c.share) == ["/left", "right"]


def test_a_shadow_over_half_of_it_is_no_matter(truth, views, fill):
    shaded = truth.copy()
    shaded[:, 330:] = lit(shaded[:, 330:], 1.5) // 2
    done = fill(shaded, HOLE, {"turned": views["turned"]}, seam=0.0)
    assert apart(np.array(done.candidates[0].homography), TURNED, HOLE) < 0.7


HALF = moved(-330, 0)  # it ends in the middle of the hole


def test_what_no_photo_shows_is_named(truth, fill):
    with pytest.raises(PhotoError, match=r"^[45]\d% of the hole is in no other photo of the place: give more photos"):
        fill(truth, HOLE, {"half": seen(truth, HALF)})


def test_auto_fills_the_rest_by_other_means(truth, fill):
    done = fill(truth, HOLE, {"half": seen(truth, HALF)}, method="auto", seam=0.0)
    place, rest = done.parts
    assert (place.method, rest.method) == ("places", "patchmatch")
    assert place.pixels + rest.pixels == HOLE.sum() and 0.3 < place.pixels / HOLE.sum() < 0.7
    shown = HOLE & (np.arange(SIZE[1]) > 334)
    assert psnr(done.best, truth, shown) >= 27
    hidden = (done.best == (250, 0, 250)).all(axis=2) & HOLE
    assert not hidden.any(), "nothing is left unfilled"
    assert [candidate.rank for candidate in done.candidates] == list(range(1, len(done.candidates) + 1))


def test_windows_that_are_all_alike_are_not_taken_for_each_other(bundled_photos, fill):
    """What is beside the hole tells which window is which: something under the hole would be in the wrong place."""
    wall = facade()
    wall[125:200, 60:130] = bundled_photos[0][60:210:2, 160:300:2]  # a poster on the wall
    wall[130:165, 200:235] = bundled_photos[1][60:165:3, 100:205:3]  # and one under the hole
    hole = oval(wall.shape[:2], (148, 218), (32, 34))
    size = wall.shape[:2]
    for view in (turned(size, 15, 0.9), turned(size, -12) @ moved(-62, 3), turned(size, 8, 1.1) @ moved(50, 28)):
        done = fill(wall, hole, {"view": seen(wall, view)}, seam=0.0)
        assert apart(np.array(done.candidates[0].homography), view, hole) < 1
        assert psnr(done.best, wall, hole) >= 24


@pytest.mark.parametrize("shift", [0, -60, 120])
def test_another_house_with_the_same_windows_does_not_fill(fill, shift):
    """Nothing but stains tells one from another: the photo of the same house fits, where its windows are, and no other does."""
    here, there = facade(10, 7, grime=5.0), facade(10, 7, house=5, grime=5.0)
    size = here.shape[:2]
    hole, view = oval(size, (210, 300), (40, 45)), turned(size, 15, 0.9) @ moved(shift, 0)
    done = fill(here, hole, {"same": seen(here, view)}, seam=0.0)
    assert apart(np.array(done.candidates[0].homography), view, hole) < 1
    with pytest.raises(PhotoError, match="no other photo shows this place"):
        fill(here, hole, {"same": seen(there, view)})


def test_a_stereo_pair_fills_better_than_patches(tmp_path):
    """The Middlebury motorcycle: no homography fits all of it, and what is near hides other things in each photo."""
    left, right, _ = data.stereo_motorcycle()
    holes = [oval(left.shape[:2], centre, (28, 30)) for centre in ((100, 150), (300, 250), (60, 330))]
    gains = []
    for others in (saved(tmp_path / "others", right=right), None):
        completer = make_completer("places" if others else "auto", others=others, workers=2)
        done = completer.complete_many([removed(left, hole) for hole in holes], holes)
        gains.append(np.mean([psnr(one.best, left, hole) for one, hole in zip(done, holes, strict=True)]))
    assert gains[0] > gains[1] + 3


def test_the_candidates_are_no_more_than_asked_for(truth, views, fill):
    assert len(fill(truth, HOLE, views, top=1).candidates) == 1
    assert len(fill(truth, HOLE, views, top=2).candidates) == 2


def test_one_call_and_one_thread_or_two(truth, views, tmp_path):
    folder = saved(tmp_path / "others", **views)
    one, two = (
        ce_retrieval.complete(removed(truth, HOLE), HOLE, method="places", others=folder, workers=workers)
        for workers in (1, 2)
    )
    np.testing.assert_array_equal(one.best, two.best)
    assert one.candidates == two.candidates


def test_what_is_under_the_hole_has_no_influence(truth, views, tmp_path, bundled_photos):
    completer = make_completer("places", others=saved(tmp_path / "others", **views), workers=2)
    other = truth.copy()
    other[HOLE] = bundled_photos[3][: SIZE[0], : SIZE[1]][HOLE]
    one, two = completer.complete_many([removed(truth, HOLE), other], [HOLE, HOLE])
    np.testing.assert_array_equal(one.best, two.best)
