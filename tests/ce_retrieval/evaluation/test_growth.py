"""Parts of a collection: what may be found in them, and how an experiment's figures grow with them."""

import json
import sys

import numpy as np
import pytest

from ce_retrieval.completion.methods import make_completer
from ce_retrieval.errors import EvaluationError, FilterError, InstallationError, SettingsError
from ce_retrieval.evaluation import EvaluationSettings, evaluate, run
from ce_retrieval.evaluation.collection import drawn_photos
from ce_retrieval.evaluation.experiments.experiment import read_experiment
from ce_retrieval.evaluation.experiments.growth import growth_of, growth_tables
from ce_retrieval.evaluation.experiments.run import run_experiment
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.photo_index import allowed_photos, findable, restricted
from ce_retrieval.retrieval.search import find_neighbors, search_contexts

METHODS = ("smooth", "oracle", "thumbnail:16")


def drawn(opened, size, seed=0):
    return drawn_photos(opened, EvaluationSettings(METHODS, seed=seed, collection=size))


def test_smaller_parts_are_in_the_larger_ones(opened):
    parts = [drawn(opened, size) for size in (5, 20, 60)]
    assert [part.sum() for part in parts] == [5, 20, 60]
    assert not (parts[0] & ~parts[1]).any() and (drawn(opened, 20, seed=1) != parts[1]).any()
    assert drawn(opened, None) is None
    with pytest.raises(SettingsError, match=r"`collection` is 61, but .* holds 60: choose 1 to 60"):
        drawn(opened, 61)


def test_no_search_leaves_the_part(opened, collection):
    allowed = np.zeros(60, bool)
    allowed[[3, 20, 21, 40]] = True
    part, hole = restricted(opened, allowed), center_holes(1, 64)
    assert findable(part) == 4 and findable(opened) == 60 and restricted(opened, None) is opened
    found = search_contexts(part, collection[:3], np.repeat(hole, 3, axis=0), 4)
    assert all(set(row) == {3, 20, 21, 40} for row in found.ids.tolist())
    assert {one.id for one in find_neighbors(part, collection[0], hole[0], 9, where="label == 'photo1'")} == {20, 21}
    assert np.array_equal(allowed_photos(part, None), allowed) and allowed_photos(opened, None) is None
    assert {one.id for one in find_neighbors(restricted(part, ~allowed | (np.arange(60) < 9)), collection[0])} == {3}
    with pytest.raises(FilterError, match="none of 4 photos"):
        allowed_photos(part, "label == 'photo3'")
    with pytest.raises(SettingsError, match=r"4 photos of .* may be found: choose 1 to 4"):
        part.search(np.zeros((1, 256, 3)), np.ones((1, 256)), 5)


@pytest.mark.parametrize("method", ["retrieval", "scenes"])
def test_no_method_leaves_the_part(opened, collection, method):
    allowed = np.arange(60) % 7 == 3
    settings = {"rerank": "rim", "allow_same_photo": True}
    filled = make_completer(method, restricted(opened, allowed), settings=settings).complete(
        collection[0], center_holes(1, 64)[0]
    )
    names = {opened.name_of(record) for record in opened.records(np.flatnonzero(allowed))}
    assert filled.candidates and {candidate.photo for candidate in filled.candidates} <= names


def evaluated(query_folder, opened, out, size, **more):
    return evaluate([query_folder], opened, out, EvaluationSettings(METHODS, collection=size, **more))


def test_figures_grow_with_the_collection(query_folder, opened, tmp_path):
    by_size = {size: [evaluated(query_folder, opened, tmp_path, size, limit=6)] for size in (12, 3, 60)}
    whole = evaluated(query_folder, opened, tmp_path, None, limit=6)
    growth = growth_of(by_size, seed=0)
    assert growth.sizes == [3, 12, 60] and growth.photos == 6
    l2 = {name: [one.value for one in growth.figures["l2", name]] for name in METHODS}
    assert l2["smooth"][0] == l2["smooth"][2] and l2["oracle"] == sorted(l2["oracle"], reverse=True)
    assert l2["oracle"][0] > l2["oracle"][2]
    for result in whole.results:
        assert l2[result.method.name][2] == result.summary.l2
    each = [by_size[size][0].results[1].photos["l2"] for size in (3, 12, 60)]
    assert (np.diff(each, axis=0) <= 0).all(), "no photo has a worse oracle in more photos"
    assert ("kind@1", "oracle") in growth.figures and ("kind@1", "smooth") not in growth.figures
    gain = growth.gains["l2", "oracle"]
    assert gain.interval.value == pytest.approx(l2["oracle"][2] - l2["oracle"][0]) and gain.is_clear
    assert growth.gains["l2", "smooth"].interval == (0, 0, 0)
    text = growth_tables(growth)
    assert "| L2 % by photos of the collection | 3 | 12 | 60 | 60 less 3 |" in text and "measured once: smooth." in text
    assert f"| oracle | {l2['oracle'][0]:.2f} (" in text


def test_the_leak_guard_sees_the_whole_collection(crop_folder, opened, tmp_path):
    few = evaluated(crop_folder, opened, tmp_path, 5, limit=8, keep_leaks=True)
    assert len(few.leaks) == 8
    with pytest.raises(EvaluationError, match=r"every photo \(8\) has near-duplicates"):
        evaluated(crop_folder, opened, tmp_path, 5, limit=8)


@pytest.fixture
def experiment(tmp_path, query_folder, crop_index, no_figures):
    path = tmp_path / "some.toml"
    text = f'photos = ["{query_folder}"]\nindex = "{crop_index}"\nmethods = {list(METHODS)}\nlimit = 5\n'
    path.write_text(f"{text}collection = [20, 4]\n")
    return path


def test_an_experiment_measures_each_part_and_draws_them(experiment, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    measured, fill_by = [], run.fill_by

    def counted(material, method, *arguments, **named):
        measured.append((material.settings.collection, method.name))
        return fill_by(material, method, *arguments, **named)

    monkeypatch.setattr(run, "fill_by", counted)
    out = tmp_path / "out"
    found = run_experiment(read_experiment(experiment), out)
    assert list(found) == ["center, 4 photos", "center, 20 photos"]
    assert measured == [(4, name) for name in METHODS] + [(20, name) for name in METHODS[1:]], "smooth once"
    text = (out / "experiment.md").read_text()
    assert text.index("## center, by the size of the collection") < text.index("## center, 4 photos")
    assert "of which methods fill from 20" in (out / "center-0-20" / "table.md").read_text()
    assert json.loads((out / "center-0-4" / "results.json").read_bytes())["settings"]["collection"] == 4
    page = (out / "report.html").read_text()
    assert "By the size of the collection" in page and page.count("data-gallery") == 1 + page.count("[data-gallery=")
    before = (out / "growth.png").read_bytes(), text
    measured.clear()
    run_experiment(read_experiment(experiment), out)
    assert not measured and before == ((out / "growth.png").read_bytes(), (out / "experiment.md").read_text())
    (out / "growth.png").write_bytes(b"mine")
    with pytest.raises(Exception, match=r"growth\.png is there already"):
        run_experiment(read_experiment(experiment), out)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("[4, 4]", "collection is .*: expected a list of different whole numbers"),
        ("[0, 4]", "`collection` is 0: expected a whole number from 1"),
        ("[4, 61]", "`collection` is 61, but .* holds 60"),
    ],
)
def test_sizes_that_cannot_be_are_refused(experiment, tmp_path, monkeypatch, value, told):
    monkeypatch.setattr("ce_retrieval.evaluation.experiments.run.check_plots", lambda: None)
    experiment.write_text(experiment.read_text().replace("[20, 4]", value))
    with pytest.raises((SettingsError, EvaluationError), match=told):
        run_experiment(read_experiment(experiment), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_matplotlib_nothing_is_measured(experiment, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InstallationError, match=r"plots need matplotlib: pip install '\.\[plots\]'"):
        run_experiment(read_experiment(experiment), tmp_path / "out")
    assert not (tmp_path / "out").exists()
