"""Completions from scenes that pass a filter, and from none of the photo's own source; the record says which."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ce_retrieval import RetrievalCompleter, RetrievalSettings, complete, load_photo
from ce_retrieval.completion.folders import complete_folder
from ce_retrieval.completion.plan import plan_jobs
from ce_retrieval.errors import FilterError, PhotoError
from ce_retrieval.photo_index import Origin


@pytest.fixture(scope="module")
def query(crop_folder):
    """A photo of the collection with a hole, and its file."""
    path = crop_folder / "photo1" / "05.png"
    photo = load_photo(path).pixels
    hole = np.zeros(photo.shape[:2], bool)
    hole[30:60, 40:64] = True
    return photo, hole, path


def labels(completion) -> set[str]:
    return {candidate.label for candidate in completion.candidates}


@pytest.mark.parametrize("rerank", ["none", "rim"])
def test_scenes_that_pass_alone_are_used(index, query, rerank):
    photo, hole, _ = query
    where = "label in ['photo0', 'photo3'] and not endswith(key, '.jpg')"
    done = RetrievalCompleter(index, RetrievalSettings(k=30, rerank=rerank, where=where)).complete(photo, hole)
    assert labels(done) == {"photo0", "photo3"} and len(done.candidates) == 24
    assert not any(candidate.photo.endswith(".jpg") for candidate in done.candidates)
    everything = RetrievalCompleter(index, RetrievalSettings(k=60, rerank=rerank)).complete(photo, hole)
    order = [c.photo for c in everything.candidates]
    assert [c.photo for c in done.candidates] == [name for name in order if name in {c.photo for c in done.candidates}]
    settings = done.provenance()["settings"]
    assert (settings["where"], settings["exclude_same_source"]) == (where, False)


def test_none_of_the_photos_own_source_is_used(index, query):
    photo, hole, path = query
    completer = RetrievalCompleter(index, RetrievalSettings(k=60, rerank="rim", exclude_same_source=True))
    done = completer.complete(photo, hole, origin=Origin.of(path))
    assert labels(done) == {"photo0", "photo2", "photo3"}
    from_no_file = completer.complete(photo, hole)
    names = {c.photo for c in from_no_file.candidates}
    assert str(path) not in names and labels(from_no_file) == {f"photo{n}" for n in range(4)}
    many = completer.complete_many([photo, photo], [hole, hole], origins=[None, Origin.of(path)])
    assert [[c.photo for c in one.candidates] for one in many] == [
        [c.photo for c in from_no_file.candidates],
        [c.photo for c in done.candidates],
    ]


@pytest.mark.parametrize("rerank", ["rim", "guided"])
def test_filters_that_leave_nothing(index, query, tiny_weights, rerank):
    photo, hole, path = query
    search = {"rerank": rerank, "weights": str(tiny_weights)}
    with pytest.raises(FilterError, match="none of 60 photos"):
        RetrievalCompleter(index, RetrievalSettings(**search, where="width > 5000"))
    with pytest.raises(FilterError, match="names size, which is not a column"):
        RetrievalCompleter(index, RetrievalSettings(**search, where="size > 5000"))
    settings = RetrievalSettings(**search, where="label == 'photo1'", exclude_same_source=True)
    completer = RetrievalCompleter(index, settings)
    with pytest.raises(FilterError, match="the query's own folder"):
        completer.complete(photo, hole, origin=Origin.of(path))
    other = photo[::-1].copy()
    refused, served = completer.complete_many([photo, other], [hole, hole], origins=[Origin.of(path), None])
    assert isinstance(refused, FilterError) and labels(served) == {"photo1"}


def test_a_folder_leaves_out_each_photos_own(index, crop_folder, tmp_path):
    photos = tmp_path / "queries"
    photos.mkdir()
    for number in range(2):
        shutil.copy(crop_folder / f"photo{number}" / "05.png", photos / f"{number}.png")
    hole = np.zeros((96, 96), np.uint8)
    hole[30:60, 40:64] = 255
    Image.fromarray(hole).save(tmp_path / "mask.png")

    def run(**settings) -> list[dict]:
        completer = RetrievalCompleter(index, RetrievalSettings(k=40, rerank="rim", **settings), workers=1)
        out = tmp_path / "out"
        jobs = plan_jobs(photos, tmp_path / "mask.png", out)
        skipped.append([outcome.skipped for outcome in complete_folder(completer, jobs, out)])
        return [json.loads((out / f"{number}.json").read_text()) for number in range(2)]

    skipped: list[list[bool]] = []
    for number, record in enumerate(run(exclude_same_source=True, where="width < 100")):
        assert (record["settings"]["where"], record["settings"]["exclude_same_source"]) == ("width < 100", True)
        used = [candidate["photo"] for candidate in record["candidates"]]
        assert str(crop_folder / f"photo{number}" / "05.png") not in used
        assert len(used) == 40 and not any(name.endswith("07.png") for name in used)
    run(exclude_same_source=True, where="width < 100")
    plain = run(allow_same_photo=True)
    assert plain[0]["candidates"][0]["photo"] == str(crop_folder / "photo0" / "05.png")
    run(allow_same_photo=True)
    photos.rename(tmp_path / "moved")
    photos = tmp_path / "moved"
    run(allow_same_photo=True)
    run(exclude_same_source=True)
    (tmp_path / "moved").rename(tmp_path / "again")
    photos = tmp_path / "again"
    run(exclude_same_source=True)
    assert skipped == [[False] * 2, [True] * 2, [False] * 2, [True] * 2, [True] * 2, [False] * 2, [False] * 2]


@pytest.mark.parametrize("method", ["retrieval", "scenes"])
def test_in_one_call(index, query, method):
    photo, hole, path = query
    wanted = {"rerank": "rim", "where": "label in ['photo1', 'photo2'] and width == 96", "exclude_same_source": True}
    done = complete(photo, hole, index, method=method, origin=path, **wanted)
    assert labels(done) == {"photo2"}
    with pytest.raises(FilterError, match="the query's own folder"):
        complete(photo, hole, index, method=method, origin=path, **{**wanted, "where": "label == 'photo1'"})
    with pytest.raises(PhotoError, match="nowhere"):
        complete(photo, hole, index, method=method, origin=path.with_name("nowhere.png"), **wanted)
