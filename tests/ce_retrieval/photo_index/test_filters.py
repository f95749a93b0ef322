"""Filtered search of an index: the nearest of what passes, over several segments and sources, and after an addition."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.descriptors import cell_weights
from ce_retrieval.errors import FilterError, PhotoError, SettingsError
from ce_retrieval.photo_index import (
    IndexSettings,
    Origin,
    PhotoIndex,
    SameSource,
    add_photos,
    allowed_photos,
    build_index,
)
from ce_retrieval.retrieval.search import find_neighbors, search_apart, search_contexts


@pytest.fixture
def hole() -> np.ndarray:
    made = np.zeros((32, 32), bool)
    made[10:20, 12:24] = True
    return made


def by_hand(index, photo, hole, passes) -> list[int]:
    """All ids that pass, nearest first, by the definition."""
    grids = np.concatenate(list(index.grids())).astype(np.float64)
    weights = cell_weights(index.descriptor, hole, None).astype(np.float64)
    query = index.descriptor.describe(photo[None], hole[None])[0]
    distances = ((grids - query) ** 2).sum(axis=2) @ weights / weights.sum()
    allowed = [i for i in range(len(index)) if passes(i, index.records([i])[0])]
    return sorted(allowed, key=lambda i: (distances[i], i))


CASES = {
    "label == 'odd'": lambda i, r: r.label == "odd",
    "label != 'odd' and key > 'even/0006'": lambda i, r: r.label != "odd" and r.key > "even/0006",
    "width >= 64 or endswith(source, '.tar')": lambda i, r: r.width >= 64 or r.source == 1,
    "licence == 'CC0'": lambda i, r: r.licence == "CC0",
    "'dog' in caption and licence == 'CC0'": lambda i, r: r.caption == "a dog" and r.licence == "CC0",
}


def check(index, photo, hole, where):
    expected = by_hand(index, photo, hole, CASES[where])
    assert 0 < len(expected) < len(index)
    for k in {1, min(5, len(expected)), len(expected)}:
        found = find_neighbors(index, photo, hole, k, focus=None, where=where)
        assert [n.id for n in found] == expected[:k]
        assert [n.rank for n in found] == list(range(1, k + 1))
    assert [n.id for n in find_neighbors(index, photo, hole, len(index), focus=None, where=where)] == expected, (
        "what there is"
    )


def test_the_nearest_of_what_passes_over_segments_sources_and_additions(tmp_path, photos, index, helpers, hole):
    photo = helpers.pixels(1000, 32)
    opened = PhotoIndex.open(index)
    for where in list(CASES)[:2]:
        check(opened, photo, hole, where)
    helpers.write_tar(tmp_path / "more.tar", range(100, 118), json='{"caption": "a dog", "licence": "CC0"}')
    helpers.write_table(tmp_path / "more.parquet", range(200, 209), licence="BY", caption="a dog")
    (tmp_path / "large").mkdir()
    for seed in range(300, 305):
        (tmp_path / "large" / f"{seed}.png").write_bytes(helpers.encoded(seed, side=70))
    add_photos(index, [tmp_path / "more.tar"])
    add_photos(index, [tmp_path / "more.parquet", tmp_path / "large"])
    whole = PhotoIndex.open(index)
    assert len(whole) == 62 and len(whole.manifest.segments) > 5
    for where in CASES:
        check(whole, photo, hole, where)
    assert len(opened) == 30 and opened.matching("licence == 'CC0'").sum() == 0


def test_a_batch_is_searched_with_one_filter(index, helpers, hole):
    opened = PhotoIndex.open(index)
    queries = np.stack([helpers.pixels(1000 + n, 32) for n in range(3)])
    allowed = opened.matching("label == 'odd'")
    found = search_contexts(opened, queries, np.stack([hole] * 3), 6, allowed=allowed)
    for row, photo in enumerate(queries):
        assert found.ids[row].tolist() == by_hand(opened, photo, hole, CASES["label == 'odd'"])[:6]


def test_what_lets_nothing_pass_or_is_no_filter(index, helpers, hole):
    opened = PhotoIndex.open(index)
    photo = helpers.pixels(1000, 32)
    for where, message in (
        ("label == 'cat'", "none of 30 photos of .* passes the filter \"label == 'cat'\": loosen it"),
        ("label == 3", "compares label, a text"),
        ("lable == 'odd'", "names lable, which is not a column"),
    ):
        with pytest.raises(FilterError, match=message):
            find_neighbors(opened, photo, hole, 3, where=where)
    assert allowed_photos(opened, None) is None
    with pytest.raises(SettingsError, match="`k` is 31"):
        find_neighbors(opened, photo, hole, 31, where="label == 'odd'")
    with pytest.raises(SettingsError, match=r"`k` is 16, but 15 photos of .* may be found"):
        search_contexts(opened, photo[None], hole[None], 16, allowed=opened.matching("label == 'odd'"))


def keys(index, rows) -> list[str]:
    return [record.key for record in index.records(np.flatnonzero(rows))]


def test_the_photos_of_a_folder(tmp_path, index, photos, helpers):
    (photos / "0100.png").write_bytes(helpers.encoded(100))
    (photos / "odd" / "deep").mkdir()
    (photos / "odd" / "deep" / "0101.png").write_bytes(helpers.encoded(101))
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "single.png").write_bytes(helpers.encoded(102))
    helpers.write_tar(photos / "odd" / "x.tar", [103])
    add_photos(index, [photos, tmp_path / "one" / "single.png", photos / "odd" / "x.tar"])
    opened = PhotoIndex.open(index)
    same = SameSource(opened)
    odd = [f"odd/{n:04d}.png" for n in range(1, 30, 2)]

    def mine(path, sha256="") -> list[str]:
        return keys(opened, same.photos(Origin(path, sha256)))

    assert mine(photos / "odd" / "new.jpg") == odd
    assert mine(photos / "even" / ".." / "odd" / "0001.png") == odd
    assert mine(photos / "new.jpg") == ["0100.png"]
    assert mine(photos / "odd" / "deep" / "new.jpg") == ["odd/deep/0101.png"]
    assert mine(tmp_path / "one" / "new.jpg") == ["single.png"]
    assert mine(tmp_path / "nowhere" / "new.jpg") == mine(tmp_path / "new.jpg") == []
    (tmp_path / "link").symlink_to(photos / "odd")
    assert mine(tmp_path / "link" / "new.jpg") == odd
    os.symlink(photos / "odd" / "0001.png", tmp_path / "one" / "q.png")
    assert mine(tmp_path / "one" / "q.png") == [*odd, "single.png"], "a link lies here, its file there"
    shutil.copy(photos / "even" / "0004.png", tmp_path / "q.png")
    origin = Origin.of(tmp_path / "q.png")
    assert keys(opened, same.photos(origin)) == ["even/0004.png"], "the same bytes"
    with pytest.raises(PhotoError, match=r"none\.png"):
        Origin.of(tmp_path / "none.png")


@pytest.fixture
def views(tmp_path, bundled_photos):
    """Photos with texture, 8 in a folder `a`; in `b` a copy of the first as JPEG, its mirror image, and 4 others."""
    parts = []
    for photo in bundled_photos[:3]:
        for y, x in ((20, 60), (60, 150), (150, 90), (150, 250), (120, 10)):
            part = Image.fromarray(photo[y : y + 128, x : x + 128])
            parts.append(part.resize((96, 96), Image.Resampling.BICUBIC))
    for name, chosen in (("a", parts[:8]), ("b", parts[8:12])):
        (tmp_path / "views" / name).mkdir(parents=True)
        for number, part in enumerate(chosen):
            part.save(tmp_path / "views" / name / f"{number}.png")
    parts[0].save(tmp_path / "views" / "b" / "copy.jpg", quality=80)
    parts[0].transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "views" / "b" / "mirror.png")
    build_index([tmp_path / "views"], tmp_path / "v.ceret", IndexSettings(features="thumbnail", workers=1, kind="none"))
    return PhotoIndex.open(tmp_path / "v.ceret")


def test_none_of_the_querys_own_source_is_found(tmp_path, views):
    path = tmp_path / "views" / "a" / "0.png"
    photo = np.asarray(Image.open(path))
    hole = np.zeros((96, 96), bool)
    hole[30:60, 40:70] = True
    near = find_neighbors(views, photo, hole, 14)
    assert {n.record.key for n in near[:2]} == {"a/0.png", "b/copy.jpg"}
    others = [f"b/{n}.png" for n in range(4)]
    apart = find_neighbors(views, photo, hole, 14, apart_from=path)
    assert sorted(n.record.key for n in apart) == others, "neither its folder, nor its copies"
    in_order = [n.record.key for n in near if n.record.key in others]
    for k in (1, 2, 3):
        assert [n.record.key for n in find_neighbors(views, photo, hole, k, apart_from=path)] == in_order[:k]
    shutil.copy(path, tmp_path / "elsewhere.png")
    moved = find_neighbors(views, photo, hole, 14, apart_from=tmp_path / "elsewhere.png")
    assert sorted(n.record.key for n in moved) == [f"a/{n}.png" for n in range(1, 8)] + others
    both = find_neighbors(views, photo, hole, 14, apart_from=path, where="key != 'b/2.png'")
    assert sorted(n.record.key for n in both) == ["b/0.png", "b/1.png", "b/3.png"]
    with pytest.raises(FilterError, match=r"every photo of .* is from the query's own folder"):
        find_neighbors(views, photo, hole, 3, apart_from=path, where="startswith(key, 'a/')")
    with pytest.raises(FilterError, match=r"every photo of .* is from the query's own folder"):
        find_neighbors(views, photo, hole, 3, apart_from=path, where="key in ['b/copy.jpg', 'b/mirror.png', 'a/1.png']")


def test_near_duplicates_of_a_query_from_no_file_and_lost_photos(tmp_path, views):
    photo = np.asarray(Image.open(tmp_path / "views" / "a" / "0.png").resize((128, 128), Image.Resampling.BICUBIC))
    hole = np.zeros((128, 128), bool)
    hole[40:80, 50:90] = True
    found = search_apart(views, (photo, hole), 14, SameSource(views), None)
    left = {record.key for record in views.records(found.ids[0])}
    assert left == {f"a/{n}.png" for n in range(1, 8)} | {f"b/{n}.png" for n in range(4)}
    (tmp_path / "views" / "b" / "copy.jpg").unlink()
    found = search_apart(views, (photo, hole), 14, SameSource(views), None)
    assert {record.key for record in views.records(found.ids[0])} == left | {"b/copy.jpg"}
