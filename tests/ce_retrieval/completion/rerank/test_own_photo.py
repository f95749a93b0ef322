"""A photo is never filled from itself or a copy of itself, unless that is allowed; what is no copy still fills it."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ce_retrieval import IndexSettings, PhotoIndex, build_index, complete
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
    settings = IndexSettings(features="thumbnail:8", size=64, workers=1)
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
    parts = (cat[20:220:2, 60:310:2], face[:200:2, 100:350:2], rocket[100:300:2, 200:450:2], coffee[190:390:2, 300:550:2])
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
