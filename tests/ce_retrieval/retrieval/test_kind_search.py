"""Search by kind against brute force; blind to what is hidden; what can be wrong with a query."""

import numpy as np
import pytest

from ce_retrieval.descriptors.one_vector import make_one_vector
from ce_retrieval.errors import FilterError, NoKindError, PhotoIndexError, SettingsError
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, add_photos, batches, build_index
from ce_retrieval.photos import load_photo
from ce_retrieval.retrieval import find_neighbors, kind_similarity
from ce_retrieval.retrieval.kind_search import nearest_kinds


@pytest.fixture
def index(crop_folder, tmp_path, fake_kind, monkeypatch) -> PhotoIndex:
    """Four photos' crops, in segments of 16, by thumbnail:16 and a kind that takes no network."""
    monkeypatch.setattr(batches, "SEGMENT_ITEMS", 16)
    monkeypatch.setattr(batches, "BATCH_ITEMS", 8)
    path = tmp_path / "crops.ceret"
    build_index([crop_folder], path, IndexSettings(features="thumbnail:16", size=64, workers=1))
    return PhotoIndex.open(path)


@pytest.fixture
def query(crop_folder, odd_holes):
    photo = load_photo(crop_folder / "photo1/02.png").pixels
    return photo, odd_holes(*photo.shape[:2])["corner"]


def test_the_similarity_of_every_photo_is_the_cosine(index, query, crop_folder):
    similarity = kind_similarity(index, *query)
    assert similarity.shape == (60,) and similarity.dtype == np.float32 and np.abs(similarity).max() <= 1.001
    stored = np.concatenate(list(index.kinds())).astype(np.float64)
    assert len(list(index.kinds())) == 4
    kind = make_one_vector("kind", 64)
    own = load_photo(crop_folder / "photo1/02.png", size=64).pixels
    best = similarity.argmax()
    assert index.records([best])[0].key == "photo1/02.png" and similarity[best] > 0.9
    hole = np.zeros(own.shape[:2], bool)
    exact = stored @ kind.describe(_resized(own, kind.size)[None])[0]
    np.testing.assert_allclose(kind_similarity(index, own, hole), exact, atol=1e-3)


def _resized(photo, size):
    from ce_retrieval.pixels import resize

    return resize(photo, (size, size))


def test_nothing_depends_on_what_is_hidden(index, query):
    photo, hole = query
    other = photo.copy()
    other[hole] = np.random.default_rng(0).integers(0, 256, (int(hole.sum()), 3))
    np.testing.assert_array_equal(kind_similarity(index, other, hole), kind_similarity(index, photo, hole))


def test_neighbours_are_those_of_the_largest_cosine(index, query):
    similarity = kind_similarity(index, *query)
    found = find_neighbors(index, *query, 7, features="kind")
    order = np.lexsort((np.arange(60), -similarity))[:7]
    assert [n.id for n in found] == order.tolist() and [n.rank for n in found] == list(range(1, 8))
    np.testing.assert_allclose([n.distance for n in found], 2 - 2 * similarity[order], atol=1e-5)
    assert found[0].name == index.name_of(found[0].record) and len(find_neighbors(index, *query, features="kind")) == 20


def test_filters_hold_for_kinds_too(index, query, crop_folder):
    found = find_neighbors(index, *query, 30, features="kind", where="startswith(key, 'photo2/')")
    assert len(found) == 15 and all(n.record.key.startswith("photo2/") for n in found)
    apart = find_neighbors(index, *query, 5, features="kind", apart_from=crop_folder / "photo1/02.png")
    assert len(apart) == 5 and not any(n.record.key.startswith("photo1/") for n in apart)
    with pytest.raises(FilterError, match="every photo of"):
        only = "startswith(key, 'photo1/')"
        find_neighbors(index, *query, 5, features="kind", where=only, apart_from=crop_folder / "photo1/02.png")


def test_ties_go_to_the_first():
    similarity = np.array([0.5, 0.25, 0.5, 1, 0.5, -1], np.float32)
    assert nearest_kinds(similarity, 3).ids.tolist() == [[3, 0, 2]]
    assert nearest_kinds(similarity, 6).ids.tolist() == [[3, 0, 2, 4, 1, 5]]
    allowed = np.array([False, True, True, False, True, True])
    found = nearest_kinds(similarity, 2, allowed)
    assert found.ids.tolist() == [[2, 4]] and found.scores.tolist() == [[1, 1]]


def test_removed_photos_are_not_found(index, query, tmp_path, crop_folder):
    import shutil

    shutil.copytree(crop_folder, tmp_path / "photos")
    build_index([tmp_path / "photos"], tmp_path / "b.ceret", IndexSettings("thumbnail:16", "none", 64, 1))
    (tmp_path / "photos" / "photo1" / "02.png").unlink()
    add_photos(tmp_path / "b.ceret", workers=1)
    fewer = PhotoIndex.open(tmp_path / "b.ceret")
    gone = [record.key for record in index.records(range(60))].index("photo1/02.png")
    np.testing.assert_array_equal(kind_similarity(fewer, *query), np.delete(kind_similarity(index, *query), gone))


def test_a_hole_that_hides_the_kind(index, query):
    photo = query[0]
    hole = np.ones(photo.shape[:2], bool)
    hole[:9, :9] = False
    with pytest.raises(NoKindError, match="the hole leaves too little of the photo to tell its kind"):
        kind_similarity(index, photo, hole)
    with pytest.raises(NoKindError, match="too little of the photo"):
        find_neighbors(index, photo, hole, 3, features="kind")
    assert len(find_neighbors(index, photo, hole, 3)) == 3, "the index's own features see enough"


def test_what_cannot_be_asked(index, query, crop_index):
    with pytest.raises(NoKindError, match=f"{crop_index} has no kind features: add them with"):
        find_neighbors(PhotoIndex.open(crop_index), *query, features="kind")
    with pytest.raises(SettingsError, match="`features` is 'gist': expected one of index, kind"):
        find_neighbors(index, *query, features="gist")
    with pytest.raises(SettingsError, match="`focus` is 8, but a kind is one vector"):
        find_neighbors(index, *query, features="kind", focus=8)
    with pytest.raises(SettingsError, match="`k` is 61"):
        find_neighbors(index, *query, 61, features="kind")
    assert issubclass(NoKindError, PhotoIndexError)


def test_the_kind_of_a_network_of_the_users(crop_folder, query, tmp_path):
    pytest.importorskip("onnxruntime")
    import json

    onnx = pytest.importorskip("onnx")
    nodes = [
        onnx.helper.make_node("AveragePool", ["photo"], ["cells"], kernel_shape=[16, 16], strides=[16, 16]),
        onnx.helper.make_node("Flatten", ["cells"], ["out"]),
    ]
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("photo", ("N", 3, 64, 64)), ("out", None))
    ]
    graph = onnx.helper.make_graph(nodes, "means", ends[:1], ends[1:])
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10),
        tmp_path / "net.onnx",
    )
    sidecar = {"size": 64, "mean": [0.5] * 3, "std": [1] * 3, "layout": "nchw", "channels": "rgb", "range": [0, 1]}
    (tmp_path / "net.onnx.json").write_text(json.dumps(sidecar))
    path = tmp_path / "n.ceret"
    settings = IndexSettings("thumbnail:16", "none", 64, 1, kind=f"onnx:{tmp_path / 'net.onnx'}")
    assert build_index([crop_folder], path, settings).kind == f"onnx:{tmp_path / 'net.onnx'}"
    found = find_neighbors(PhotoIndex.open(path), *query, 3, features="kind")
    assert found[0].record.key.startswith("photo1/")
    # An exported network is written anew, with another mean.
    (tmp_path / "net.onnx.json").write_text(json.dumps({**sidecar, "mean": [0.25] * 3}))
    with pytest.raises(NoKindError, match=r"were made with weights .* put the old weights back, or make them anew"):
        find_neighbors(PhotoIndex.open(path), *query, 3, features="kind")
    (tmp_path / "net.onnx").unlink()
    for act in (lambda: kind_similarity(PhotoIndex.open(path), *query), lambda: add_photos(path)):
        with pytest.raises(NoKindError, match=r"cannot be compared or added to: .*there is no such file"):
            act()
    assert len(find_neighbors(PhotoIndex.open(path), *query, 3)) == 3
