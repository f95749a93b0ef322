"""The evaluation as a whole, against figures worked out by hand, and what its result may depend on."""

import shutil

import cv2
import numpy as np
import pytest
from evaluation_runs import METHODS, results_of, run
from PIL import Image

from ce_retrieval import complete
from ce_retrieval.completion.methods import METHODS as METHODS_OF_COMPLETION
from ce_retrieval.errors import (
    DescriptorError,
    EvaluationError,
)
from ce_retrieval.evaluation import fills, markdown_table, notes
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.models.seen_photos import write_seen
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index

BICUBIC = Image.Resampling.BICUBIC


@pytest.fixture(scope="session")
def evaluation(query_folder, opened, tmp_path_factory):
    return run(query_folder, opened, tmp_path_factory.mktemp("out"))


def test_figures_worked_out_by_hand(query_folder, opened, collection, tmp_path):
    """Context search, oracle, ring and a classical fill, done again by brute force, and their errors by the formulas."""
    found = run(query_folder, opened, tmp_path, ("thumbnail:16@none", "oracle", "ring", "telea"), limit=6)
    assert len(found.names) == 6
    images = [Image.open(query_folder / name) for name in found.names]
    queries = [np.asarray(image.resize((64, 64), BICUBIC)) for image in images]
    hole = np.zeros((64, 64), bool)
    hole[16:48, 16:48] = True
    ring = np.zeros((64, 64), bool)
    ring[8:56, 8:56] = True
    ring &= ~hole

    def cells(photo):
        return photo.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))[~hole[::4, ::4]] / 255

    distances = {
        "thumbnail:16@none": lambda a, b: ((cells(a) - cells(b)) ** 2).mean(),
        "oracle": lambda a, b: ((a[hole] / 255 - b[hole] / 255) ** 2).mean(),
        "ring": lambda a, b: ((a[ring] / 255 - b[ring] / 255) ** 2).mean(),
    }
    for result in found.results:
        name = result.method.name
        for number, query in enumerate(queries):
            if name == "telea":
                visible = query.copy()
                visible[hole] = 0
                fill = cv2.inpaint(visible, hole.astype(np.uint8), 5, cv2.INPAINT_TELEA)
            else:
                fill = collection[np.argmin([distances[name](query, photo) for photo in collection])]
            difference = fill[hole] / 255.0 - query[hole] / 255.0
            assert result.photos["l1"][number] == pytest.approx(100 * np.abs(difference).mean())
            assert result.photos["l2"][number] == pytest.approx(100 * (difference**2).mean())
            assert result.photos["psnr"][number] == pytest.approx(-10 * np.log10((difference**2).mean()))
        assert result.summary.l2 == pytest.approx(result.photos["l2"].mean())
        assert result.summary.psnr == pytest.approx(result.photos["psnr"].mean())
        assert result.summary.psnr_of_mean_l2 == pytest.approx(-10 * np.log10(result.summary.l2 / 100))


def test_precision_by_hand_and_only_for_methods_that_find_neighbours(
    evaluation, query_folder, opened, collection, tmp_path
):
    precisions = {result.method.name: result.precision for result in evaluation.results}
    assert [name for name, value in precisions.items() if value is None] == ["smooth", "oracle", "ring+blend"]
    visible = ~center_holes(1, 64)[0][::4, ::4]

    def cells(photos):
        return photos.reshape(-1, 16, 4, 16, 4, 3).mean(axis=(2, 4))[:, visible] / 255

    shares = []
    for path in sorted(query_folder.rglob("*.png")):
        query = np.asarray(Image.open(path).resize((64, 64), BICUBIC))
        nearest = np.argsort(((cells(collection) - cells(query)) ** 2).sum(axis=(1, 2)))[:10]
        shares.append(np.mean([opened.labels[i] == path.parent.name for i in nearest]))
    assert precisions["thumbnail:16@none"] == pytest.approx(np.mean(shares))
    assert 0.3 < np.mean(shares) < 1
    # without folders there are no labels, and other folders are other labels
    flat = tmp_path / "flat"
    shutil.copytree(query_folder / "photo0", flat)
    other = tmp_path / "other"
    shutil.copytree(flat, other / "some-label")
    for folder in (flat, other):
        (result,) = run(folder, opened, tmp_path / "out", ("thumbnail:16",)).results
        assert result.precision is None


def test_the_figures_are_a_function_of_seed_photos_and_index(evaluation, query_folder, opened, tmp_path):
    first = results_of(evaluation, tmp_path / "a")
    again = results_of(run(query_folder, PhotoIndex.open(opened.path), tmp_path / "b"), tmp_path / "b")
    assert again == first
    order = (4, 2, 0, 5, 3, 1)  # with the index of HOG that is there by now
    other = results_of(run(query_folder, opened, tmp_path / "b", [METHODS[n] for n in order]), tmp_path / "c")
    assert other["methods"] == [first["methods"][n] for n in order]
    for key in ("about", "photos", "leaks", "unreadable", "unserved"):
        assert other[key] == first[key]
    assert (tmp_path / "a/sheet-01.png").read_bytes() == (tmp_path / "b/sheet-01.png").read_bytes()


def test_methods_do_not_see_the_truth(query_folder, opened, tmp_path):
    """Another truth under the same surroundings changes no fill but the oracle's."""
    changed = tmp_path / "changed"
    shutil.copytree(query_folder, changed)
    for path in changed.rglob("*.png"):
        pixels = np.array(Image.open(path))
        pixels[28:68, 28:68] = pixels[28:68, 28:68][::-1] ^ 128  # inside the hole after resizing by 2/3 too
        Image.fromarray(pixels).save(path)
    features = tuple(f"thumbnail:16+rim+{fill}" for fill in ("blend", "scenes", "patchmatch"))
    methods = (*features, "ring", "smooth", "biharmonic", "oracle", "patchmatch")
    a, b = (run(folder, opened, tmp_path / "out", methods, limit=3, aligned=4) for folder in (query_folder, changed))
    assert a.drawn == b.drawn == [0, 1, 2]
    differing = set()
    for row_a, row_b in ((a.pictures(row), b.pictures(row)) for row in a.drawn):
        assert (row_a[-1] != row_b[-1]).any()
        fills = zip(methods, row_a[1:-1], row_b[1:-1], strict=True)
        differing |= {name for name, one, other in fills if (one != other)[16:48, 16:48].any()}
    assert differing == {"oracle"}


def test_a_method_of_completion_fills_as_complete_does(query_folder, opened, tiny_weights, tmp_path):
    """Photos of the index's size, every known pixel kept: the sheet shows what `complete` makes of them."""
    guided = {"rerank": "guided", "weights": str(tiny_weights)}
    alike = {
        "thumbnail:16@4+rim": {"method": "retrieval", "rerank": "rim", "focus": 4.0, "k": 1, "fill": "paste"},
        "thumbnail:16+rim+mean": {"method": "retrieval", "rerank": "rim", "k": 3, "fill": "mean"},
        "thumbnail:16+guided+blend": {"method": "retrieval", **guided, "k": 1},
        "thumbnail:16+rim+scenes": {"rerank": "rim", "aligned": 1, "top": 1, "seam": 0.0},
        "thumbnail:16+guided+scenes": {**guided, "aligned": 1, "top": 1, "seam": 0.0},
        "thumbnail:16+rim+patchmatch": {"method": "patchmatch", "rerank": "rim", "aligned": 1},
        "scenes": {**guided, "aligned": 1, "seam": 0.0},
        "scenes+rim+aligned=2+pick=2+terms.gist=0": {
            "rerank": "rim",
            "aligned": 2,
            "pick": 2,
            "terms": {"gist": 0.0},
            "seam": 0.0,
        },
        "retrieval": {"method": "retrieval", **guided},
        "patchmatch+index+rim+start=smooth+sources=0": {
            "method": "patchmatch",
            "rerank": "rim",
            "aligned": 1,
            "start": "smooth",
            "sources": 0,
        },
        "patchmatch+start=network": {
            "method": "patchmatch",
            "start": "network",
            "weights": str(tiny_weights),
        },
        "patchmatch": {"method": "patchmatch"},
        "network": {"method": "network", "weights": str(tiny_weights)},
        f"network:{tiny_weights}+blend": {"method": "network", "weights": str(tiny_weights), "fill": "blend"},
    }
    found = run(query_folder, opened, tmp_path, alike, limit=1, seed=2, aligned=1, k=3, weights=str(tiny_weights))
    assert [result.method.name for result in found.results] == list(alike)
    assert {result.precision is None for result in found.results[:10]} == {False}
    assert {result.precision for result in found.results[10:]} == {None}
    hole = center_holes(1, 64)[0]
    for row in map(found.pictures, found.drawn):
        for number, (picture, settings) in enumerate(zip(row[1:-1], alike.values(), strict=True)):
            # One of a batch may differ by a rounding where a network has part in it.
            kept = {} if number >= 10 else {"allow_same_photo": True}
            expected = complete(
                row[-1], hole, opened if number < 10 else None, **{"method": "scenes", **kept, **settings}
            ).best
            assert np.abs(picture.astype(int) - expected).max() <= ("weights" in settings), settings
            np.testing.assert_array_equal(picture[~hole], row[-1][~hole])


def test_a_perceptual_distance_is_measured_of_every_method(evaluation, query_folder, opened, tmp_path):
    from onnx_models import CONV, KERNEL, write  # skips where the onnx package is missing

    nodes = [CONV, ("AveragePool", ("out",), ("pooled",), {"kernel_shape": [2, 2], "strides": [2, 2]})]
    path = write(tmp_path / "net.onnx", nodes, [("kernel", KERNEL)])
    methods = ("smooth", "thumbnail:16@none", "oracle")
    found = run(query_folder, opened, tmp_path, methods, perceptual=f"onnx:{path}:out,pooled")
    results = results_of(found, tmp_path)
    about = results["about"]["perceptual"]
    assert (about["path"], about["layers"]) == (str(path), ["out", "pooled"]) and len(about["sha256"]) == 64
    assert any(f"perceptual: mean over the layers out, pooled of {path}" in line for line in notes(found))
    columns, _, *rows = ([cell.strip() for cell in line.split("|")] for line in markdown_table(found).splitlines())
    for row, entry in zip(rows, results["methods"], strict=True):
        figures = entry["perceptual"]
        assert figures["mean"] == pytest.approx(np.mean([figures["layers"][name] for name in ("out", "pooled")]))
        assert figures["mean"] == pytest.approx(np.mean(entry["photos"]["perceptual"]))
        assert row[columns.index("perceptual")] == f"{figures['mean']:.3f}" and figures["mean"] > 0
    without = results_of(evaluation, tmp_path / "without")
    assert without["about"]["perceptual"] is None and {entry["perceptual"] for entry in without["methods"]} == {None}
    (tmp_path / "net.onnx.json").unlink()
    steps = []
    with pytest.raises(DescriptorError, match=r"net\.onnx\.json is missing"):
        run(query_folder, opened, tmp_path, methods, lambda *step: steps.append(step), perceptual=f"onnx:{path}")
    assert not steps


def test_a_method_that_is_added_to_the_registry_is_measured(query_folder, opened, tmp_path, monkeypatch):
    monkeypatch.setitem(METHODS_OF_COMPLETION, "auto", METHODS_OF_COMPLETION["patchmatch"])
    names = ("patchmatch+index+rim+aligned=5", "auto+rim+aligned=5", "auto+alone", "patchmatch")
    found = run(query_folder, opened, tmp_path, names, limit=2)
    with_index, auto, alone, patches = (result.photos["l2"].tolist() for result in found.results)
    assert with_index == auto != alone == patches


def test_leaks_are_left_out_unless_kept(query_folder, crop_folder, opened, tmp_path):
    leaking = tmp_path / "leaking"
    shutil.copytree(query_folder / "photo2", leaking / "photo2")
    Image.open(crop_folder / "photo2/06.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(
        leaking / "photo2/copy.jpg", quality=80
    )
    found = run(leaking, opened, tmp_path / "out", ("oracle",))
    assert [(leak.query, leak.mirrored) for leak in found.leaks] == [("photo2/copy.jpg", True)]
    assert found.leaks[0].photo == str(crop_folder / "photo2/06.png")
    assert found.names == [f"photo2/q{number}.png" for number in range(3)]
    assert found.results[0].summary.photos == len(found.results[0].photos["l2"]) == 3
    assert any("1 query with near-duplicates in the collection, left out: photo2/copy.jpg" in n for n in notes(found))
    clean = run(query_folder / "photo2", opened, tmp_path / "out", ("oracle",))
    np.testing.assert_array_equal(found.results[0].photos["l2"], clean.results[0].photos["l2"])
    kept = run(leaking, opened, tmp_path / "out", ("oracle",), keep_leaks=True)
    assert kept.leaks == found.leaks and len(kept.names) == 4
    assert any("kept" in note for note in notes(kept))
    with pytest.raises(EvaluationError, match=r"every photo \(1\) has near-duplicates.*set `keep_leaks`"):
        run(leaking / "photo2/copy.jpg", opened, tmp_path / "out", ("oracle",))


def test_an_identical_fill_has_no_psnr_but_is_counted(crop_folder, opened, tmp_path):
    both = [crop_folder / "photo0/00.png", crop_folder / "photo2/06.png"]
    found = run(both, opened, tmp_path, ("oracle", "smooth"), keep_leaks=True)
    oracle = found.results[0].summary
    assert (oracle.identical, oracle.l2, oracle.psnr, oracle.ssim) == (2, 0, np.inf, pytest.approx(1))
    assert "| inf |" in markdown_table(found) and any("oracle 2" in note for note in notes(found))
    results = results_of(found, tmp_path)
    assert results["methods"][0]["psnr"] is None and results["methods"][0]["photos"]["psnr"] == [None, None]
    assert results["methods"][1]["psnr"] > 5


def test_progress_is_monotone_and_complete(query_folder, opened, tmp_path, monkeypatch):
    monkeypatch.setattr(fills, "CHUNK", 5)
    steps = []
    methods = ("thumbnail:16+rim", "hog", "smooth", "ring+blend")
    run(query_folder, opened, tmp_path, methods, lambda *step: steps.append(step))
    tasks = list(dict.fromkeys(what for what, *_ in steps))
    assert tasks == [
        "reading the queries",
        "indexing by hog",
        "reading the collection",
        *(f"filling by {name}" for name in methods),
    ]
    for task in tasks:
        done = [(d, total) for what, d, total in steps if what == task]
        counts = [d for d, _ in done]
        assert counts == sorted(set(counts)) and {total for _, total in done} == {counts[-1]}


def test_sheets_show_query_methods_and_truth(evaluation):
    assert evaluation.drawn == list(range(12))
    hole = center_holes(1, 64)[0]
    for row in map(evaluation.pictures, evaluation.drawn):
        assert len(row) == len(METHODS) + 2
        for picture in row[1:]:
            np.testing.assert_array_equal(picture[~hole], row[-1][~hole])
        assert (row[0][18:46, 18:46] == 255).all()


def reach(result, l1, l2, psnr):
    found = result.summary.l1, result.summary.l2, result.summary.psnr
    assert found == pytest.approx((l1, l2, psnr), abs=0.2), result.method.name


def test_a_classical_fill_reaches_independent_figures(held_out, crop_folder, tmp_path):
    """Figures measured elsewhere with other code: centre hole, held-out photos, the collection does not matter."""
    build_index(
        [crop_folder / "photo0"], tmp_path / "t.ceret", IndexSettings("thumbnail:16", "none", 128, 1, kind="none")
    )
    found = run(held_out.files, PhotoIndex.open(tmp_path / "t.ceret"), tmp_path, ("smooth",))
    assert len(found.names) == len(held_out.files)
    reach(found.results[0], *held_out.figures["smooth"])


SEARCHES = {"oracle": (13.70, 3.24, 15.47), "ring": (16.09, 4.53, 14.12), "thumbnail:16@none": (18.15, 5.71, 13.09)}


@pytest.mark.slow
@pytest.mark.parametrize("held_out", [1], indirect=True)
def test_searches_reach_independent_figures(held_out, shared_data, tmp_path):
    """The same for what needs the whole collection; P@10 too."""
    train, val = shared_data / "scenes/train", shared_data / "scenes/val"
    build_index([train], tmp_path / "t.ceret", IndexSettings("thumbnail:16", kind="none"))
    index = PhotoIndex.open(tmp_path / "t.ceret")
    figures = {**held_out.figures, **SEARCHES}
    found = run(val, index, tmp_path / "out", tuple(figures), keep_leaks=True)
    assert len(found.names) == 600
    for result in found.results:
        reach(result, *figures[result.method.name])
    assert found.results[-1].precision == pytest.approx(0.442, abs=0.005)
    build_index([train], tmp_path / "h.ceret", IndexSettings("hog", "center", kind="none"))
    centre = PhotoIndex.open(tmp_path / "h.ceret")
    (hog,) = run(val, centre, tmp_path / "o", ("hog",), keep_leaks=True).results
    reach(hog, 24.64, 9.62, 10.74)
    assert hog.precision == pytest.approx(0.426, abs=0.005)


def test_methods_whose_network_has_seen_the_photos_are_marked(query_folder, opened, tiny_weights, tmp_path):
    weights = tmp_path / "trained" / tiny_weights.name
    weights.parent.mkdir()
    shutil.copy(tiny_weights, weights)
    methods = ("thumbnail:16", f"network:{weights}", "smooth")
    unknown = run(query_folder, opened, tmp_path / "out", methods, limit=5)
    assert unknown.about["seen"] == {"methods": {}, "unknown": [str(weights)]}
    assert any(f"trained on is not known of: {weights}" in line for line in notes(unknown))

    write_seen(weights.parent, unknown.queries.photos[:3])
    known = run(query_folder, opened, tmp_path / "out", methods, limit=5)
    assert known.about["seen"] == {"methods": {f"network:{weights}": 3}, "unknown": []}
    assert [line.split("|")[1].strip() for line in markdown_table(known).splitlines()[2:]] == [
        "thumbnail:16",
        f"network:{weights} ‡",
        "smooth",
    ]
    assert any(
        f"some of the 5 photos, so its figures are too good: network:{weights} 3." in line for line in notes(known)
    )
