"""A photo is never filled from itself or a copy of itself, unless that is allowed; what is no copy still fills it."""

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from ce_retrieval import IndexSettings, PhotoIndex, build_index, complete, make_completer
from ce_retrieval.completion.folders import complete_folder
from ce_retrieval.completion.plan import Job, MaskReading
from ce_retrieval.completion.rerank.own_sources import own_sources
from ce_retrieval.errors import FilterError, PhotoError
from ce_retrieval.photo_index import Origin

HOLE = np.zeros((80, 100), bool)
HOLE[25:55, 35:65] = True
METHODS = {
    "retrieval": {"rerank": "rim"},
    "mean": {"rerank": "rim", "fill": "mean"},
    "as found": {"rerank": "none", "k": 3},
    "scenes": {"rerank": "rim"},
    "scenes, aligned": {"rerank": "rim", "aligned": 3},
    "patchmatch": {"rerank": "rim"},
}


def options(name: str) -> dict:
    method = "retrieval" if name in ("mean", "as found") else name.partition(",")[0]
    return {"method": method, **METHODS[name]}


def index_of(folder: Path, scenes: dict[str, bytes]) -> PhotoIndex:
    (folder / "scenes").mkdir(parents=True)
    for name, data in scenes.items():
        (folder / "scenes" / name).write_bytes(data)
    settings = IndexSettings(features="thumbnail:8", size=64, workers=1, kind="none")
    build_index([folder / "scenes"], folder / "scenes.ceret", settings)
    return PhotoIndex.open(folder / "scenes.ceret")


def encoded(photo: Image.Image | np.ndarray, kind: str = "PNG", **how) -> bytes:
    stored = io.BytesIO()
    (photo if isinstance(photo, Image.Image) else Image.fromarray(photo)).save(stored, kind, **how)
    return stored.getvalue()


@pytest.fixture(scope="module")
def photo(bundled_photos) -> np.ndarray:
    return np.ascontiguousarray(bundled_photos[2][58:218:2, 106:306:2])


@pytest.fixture(scope="module")
def others(bundled_photos) -> dict[str, bytes]:
    """Other things, and another part of the same place."""
    face, cat, coffee, rocket = bundled_photos
    parts = (
        cat[20:220:2, 60:310:2],
        face[:200:2, 100:350:2],
        rocket[100:300:2, 200:450:2],
        coffee[190:390:2, 300:550:2],
    )
    return {f"other{number}.png": encoded(np.ascontiguousarray(part)) for number, part in enumerate(parts)}


@pytest.fixture(scope="module")
def copies(photo) -> dict[str, bytes]:
    image = Image.fromarray(photo)
    mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return {
        "same.png": encoded(image),
        "jpeg.jpg": encoded(image, "JPEG", quality=30),
        "larger.png": encoded(image.resize((250, 200), Image.Resampling.BICUBIC)),
        "mirrored.jpg": encoded(mirrored.resize((70, 56)), "JPEG", quality=60),
    }


@pytest.fixture(scope="module")
def without(tmp_path_factory, others) -> PhotoIndex:
    return index_of(tmp_path_factory.mktemp("without"), others)


@pytest.fixture(scope="module")
def among(tmp_path_factory, others, copies) -> PhotoIndex:
    return index_of(tmp_path_factory.mktemp("among"), {**others, **copies})


@pytest.mark.parametrize("name", METHODS)
def test_the_fill_is_what_it_would_be_without_the_copies(photo, without, among, name):
    expected = complete(photo, HOLE, without, **options(name))
    done = complete(photo, HOLE, among, **options(name))
    np.testing.assert_array_equal(done.best, expected.best)
    assert not expected.copies and not expected.refusal
    used = [Path(candidate.photo).name for candidate in done.candidates]
    assert used == [Path(candidate.photo).name for candidate in expected.candidates]
    found = sorted(Path(name).name for name in done.copies)
    assert set(found) <= {"same.png", "jpeg.jpg", "larger.png", "mirrored.jpg"}
    if name == "as found":  # those beyond the candidates are not looked at
        assert len(found) >= 1
    else:
        assert len(found) == 4 and done.refusal.startswith("4 scenes are the photo itself or copies, and were left out")
    assert len(done.dropped) == len(found) and not done.lost


@pytest.mark.parametrize("name", METHODS)
def test_they_fill_it_where_that_is_allowed(photo, among, name):
    done = complete(photo, HOLE, among, **options(name), allow_same_photo=True)
    assert not done.copies and not done.dropped
    assert Path(done.candidates[0].photo).name in ("same.png", "larger.png", "jpeg.jpg")
    limit = 60 if name == "mean" else 6
    assert np.abs(done.best.astype(int) - photo)[HOLE].mean() < limit


@pytest.mark.parametrize("name", METHODS)
def test_where_there_are_but_copies_the_error_names_a_way_that_works(tmp_path, photo, copies, name):
    index = index_of(tmp_path, copies)
    with pytest.raises(PhotoError, match=r"set `allow_same_photo`") as caught:
        complete(photo, HOLE, index, **options(name))
    assert "\n" not in str(caught.value) and ".png" in str(caught.value)
    assert complete(photo, HOLE, index, **options(name), allow_same_photo=True).candidates


@pytest.mark.parametrize("name", ["retrieval", "scenes", "as found"])
def test_the_same_bytes_are_known_where_nothing_can_be_seen(tmp_path, others, name):
    """A plain photo has nothing by which it could be told from others."""
    (tmp_path / "plain.png").write_bytes(encoded(np.full((80, 100, 3), 120, np.uint8)))
    origin = tmp_path / "plain.png"
    index = index_of(
        tmp_path, {**others, "a.png": origin.read_bytes(), "b.png": encoded(np.full((80, 100, 3), 140, np.uint8))}
    )
    photo = np.asarray(Image.open(origin))
    done = complete(photo, HOLE, index, **options(name), origin=origin)
    assert [Path(found).name for found in done.copies] == ["a.png"]


@pytest.mark.parametrize("method", ["retrieval", "scenes"])
def test_the_next_photo_of_a_tripod_fills(tmp_path, photo, others, bundled_photos, method):
    """Somebody stood in the hole, and has gone: all else is the same to the pixel."""
    before = photo.copy()
    before[28:52, 40:60] = bundled_photos[0][80:200:5, 175:275:5]
    scenes = {name: others[name] for name in ("other0.png", "other1.png", "other2.png")}
    index = index_of(tmp_path, {**scenes, "gone.jpg": encoded(photo, "JPEG", quality=90)})
    done = complete(before, HOLE, index, method=method, rerank="rim")
    assert not done.copies and Path(done.candidates[0].photo).name == "gone.jpg"
    assert np.abs(done.best.astype(int) - photo)[HOLE].mean() < 6
    painted = np.where(HOLE[..., None], np.uint8(255), photo)
    assert [Path(name).name for name in complete(painted, HOLE, index, method=method, rerank="rim").copies] == [
        "gone.jpg"
    ]


@pytest.mark.parametrize("name", ["retrieval", "as found", "scenes", "patchmatch"])
def test_a_hole_of_a_few_pixels_is_not_filled_from_a_copy(tmp_path, bundled_photos, others, name):
    """At the index's size it has none."""
    large = bundled_photos[0][:400, :400]
    hole = np.zeros((400, 400), bool)
    hole[203:211, 190:198] = True
    index = index_of(tmp_path, {**others, "copy.jpg": encoded(large, "JPEG", quality=85), "same.png": encoded(large)})
    done = complete(large, hole, index, **options(name))
    assert Path(done.candidates[0].photo).name.startswith("other")
    assert sorted(Path(copy).name for copy in done.copies) == ["copy.jpg", "same.png"]


def test_the_next_photo_of_a_tripod_fills_a_hole_of_a_few_pixels(tmp_path, bundled_photos, others):
    large = bundled_photos[0][:400, :400]
    hole = np.zeros((400, 400), bool)
    hole[200:222, 190:212] = True
    before = large.copy()
    before[202:220, 192:210] = bundled_photos[1][100:118, 150:168]
    index = index_of(tmp_path, {**others, "gone.png": encoded(large), "same.png": encoded(before)})
    done = complete(before, hole, index, **options("retrieval"), candidate_fills=True)
    assert [Path(copy).name for copy in done.copies] == ["same.png"]
    assert Path(done.candidates[0].photo).name == "gone.png"


@pytest.mark.parametrize("name", ["retrieval", "scenes", "patchmatch"])
def test_a_result_is_not_filled_from_the_photo_it_was_made_from(tmp_path, photo, without, others, name):
    """Nor is the result of a result, by the records beside them; without these it is known by its mark."""
    (tmp_path / "photo.png").write_bytes(encoded(photo))
    index = index_of(
        tmp_path, {**others, "original.png": encoded(photo), "jpeg.jpg": encoded(photo, "JPEG", quality=90)}
    )
    chain = [tmp_path / "photo.png", tmp_path / "first.png", tmp_path / "b" / "second.png"]
    for origin, result in itertools.pairwise(chain):
        about = {"photo": {"path": str(origin), "sha256": Origin.of(origin).sha256}}
        done = complete(np.asarray(Image.open(origin)), HOLE, without, method="retrieval", rerank="rim", origin=origin)
        done.save(result, about=about)
    for result in chain[1:]:
        filled = np.asarray(Image.open(result))
        done = complete(filled, HOLE, index, **options(name), origin=result)
        assert {Path(copy).name for copy in done.copies} == {"original.png", "jpeg.jpg"}
        result.with_suffix(".json").rename(result.with_suffix(".kept"))
        done = complete(filled, HOLE, index, **options(name), origin=result)
        assert {Path(copy).name for copy in done.copies} == {"original.png", "jpeg.jpg"}
        result.with_suffix(".kept").rename(result.with_suffix(".json"))


def test_what_a_result_is_known_to_be_made_from(tmp_path, photo, without):
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(photo))
    first = Origin.of(path)
    assert own_sources(None, HOLE.shape) == (frozenset(), None)
    assert own_sources(first, HOLE.shape) == (frozenset({first.sha256}), None)
    about = {"photo": {"path": str(path), "sha256": first.sha256}}
    done = complete(photo, HOLE, without, method="scenes", rerank="rim", candidate_fills=True)
    origin = Origin.of(done.save(tmp_path / "done.png", about=about))
    for result in (origin, Origin.of(tmp_path / "done.candidates" / "01.png")):
        hashes, filled = own_sources(result, HOLE.shape)
        assert hashes == {result.sha256, first.sha256}
        assert filled[HOLE].all() and not filled[0].any(), "the hole, and what the seam may have taken"
    assert own_sources(origin, (40, 50))[1].all(), "of another size, all may be filled"
    (tmp_path / "done.json").write_text('{"software": "ceret", "files": 3}')
    hashes, filled = own_sources(origin, HOLE.shape)
    assert hashes == {origin.sha256} and filled.all()


def test_colours_under_transparent_pixels_are_no_sign_of_another_photo(tmp_path, photo, others):
    """A soft eraser leaves the colours that are seen in part, and black where nothing is seen."""
    alpha = np.asarray(Image.fromarray(np.where(HOLE, np.uint8(0), np.uint8(255))).filter(ImageFilter.GaussianBlur(3)))
    noise = np.random.default_rng(0).integers(0, 256, photo.shape, np.uint8)
    index = index_of(tmp_path, {**others, "original.jpg": encoded(photo, "JPEG", quality=90)})
    for name, hidden in (("black", np.uint8(0)), ("other", np.roll(photo, 37, axis=1)), ("noise", noise)):
        path = tmp_path / f"{name}.png"
        colours = np.where((alpha == 0)[..., None], hidden, photo)
        path.write_bytes(encoded(np.dstack([colours, alpha])))
        for method in ("retrieval", "scenes"):
            completer = make_completer(method, index, settings={"rerank": "rim"})
            (done,) = complete_folder(
                completer, [Job(path, path, f"{name}-{method}")], tmp_path / "out", reading=MaskReading(alpha=True)
            )
            assert done.error is None and "1 scene is the photo itself" in done.hint, (name, method)


@pytest.mark.parametrize("method", ["retrieval", "scenes"])
def test_excluding_the_own_source_names_a_way_that_works(tmp_path, photo, others, copies, method):
    wanted = {"method": method, "rerank": "rim", "exclude_same_source": True}
    alone = index_of(tmp_path / "a", {"same.png": copies["same.png"]})
    path = tmp_path / "a" / "scenes" / "same.png"
    with pytest.raises(
        FilterError, match="leave out `exclude_same_source` and set `allow_same_photo`, or index others"
    ):
        complete(photo, HOLE, alone, origin=path, **wanted)
    assert complete(photo, HOLE, alone, origin=path, method=method, rerank="rim", allow_same_photo=True).candidates
    beside = index_of(tmp_path / "b", {"same.png": copies["same.png"], **others})
    path = tmp_path / "b" / "scenes" / "same.png"
    with pytest.raises(FilterError, match="leave out `exclude_same_source`, or index others"):
        complete(photo, HOLE, beside, origin=path, **wanted)
    assert len(complete(photo, HOLE, beside, origin=path, method=method, rerank="rim").copies) == 1


def test_a_batch_is_searched_as_one(photo, among, monkeypatch):
    """The guard costs no further search, and no photo of the index is decoded for it."""
    from ce_retrieval.completion.methods import make_completer

    completer = make_completer("retrieval", among, settings={"rerank": "rim"}, workers=1)
    searches, decoded = [], []
    search, read = type(among).search, type(among).read_photo
    monkeypatch.setattr(type(among), "search", lambda self, *a: searches.append(len(a[0])) or search(self, *a))
    monkeypatch.setattr(
        type(among), "read_photo", lambda self, r, size=None: decoded.append(size) or read(self, r, size)
    )
    completer.complete_many([photo] * 3, [HOLE] * 3, origins=[None, Origin(Path("a"), "0"), None])
    assert searches == [3]
    assert decoded.count(64) == len(among) and decoded.count(None) == 3
