"""Experiments: what a file may say, that all seeds count, and that nothing is measured twice."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ce_retrieval.errors import CeretError, EvaluationError, SettingsError
from ce_retrieval.evaluation import evaluate, markdown_table, measuring, run, scan, tables
from ce_retrieval.evaluation.experiments.experiment import read_experiment
from ce_retrieval.evaluation.experiments.run import _check_own, run_experiment
from ce_retrieval.photo_index import PhotoIndex

TEXT = """
photos = ["queries"]
index = "crops.ceret"
methods = ["smooth", "oracle", "thumbnail:16+rim"]
masks = ["center", "irregular"]
seeds = [0, 3]
limit = 8
keep_leaks = true
"""


@pytest.fixture
def place(tmp_path, query_folder, crop_index, no_figures):
    """A folder with an experiment's file and links to what it names."""
    (tmp_path / "queries").symlink_to(query_folder)
    (tmp_path / "crops.ceret").symlink_to(crop_index)
    (tmp_path / "some.toml").write_text(TEXT)
    return tmp_path


def written(out):
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_all_kinds_of_holes_and_seeds_are_measured_on_the_same_photos(place):
    told = []
    found = run_experiment(read_experiment(place / "some.toml"), place / "out", done=lambda name, _: told.append(name))
    assert told == ["center-0", "center-3", "irregular-0", "irregular-3"] and list(found) == ["center", "irregular"]
    parts = {name: json.loads((place / "out" / name / "results.json").read_bytes()) for name in told}
    assert len({tuple(one["photos"]) for one in parts.values()}) == 1 and len(parts["center-0"]["photos"]) == 8
    assert parts["irregular-0"]["areas"] != parts["irregular-3"]["areas"]
    for name, pooled in found.items():
        for number, result in enumerate(pooled.results):
            each = [parts[f"{name}-{seed}"]["methods"][number]["photos"]["l2"] for seed in (0, 3)]
            np.testing.assert_allclose(result.photos["l2"], np.mean(each, axis=0), rtol=1e-12)
            assert result.summary.l2 == pytest.approx(np.mean(each))
    text = (place / "out" / "experiment.md").read_text()
    assert "## center" in text and "## irregular" in text and "by the share that is missing" in text
    assert "Seeds: 0, 3." in text
    page = (place / "out" / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and 'id="part1">Holes: irregular<' in page and "seeds = [0, 3]" in page
    assert str(place) not in page and f"{found['center'].results[0].summary.l2:.2f}" in page


def never(*_, **__):
    raise AssertionError("nothing is made again")


def test_a_second_run_measures_nothing_and_gives_the_same_bytes(place, monkeypatch):
    (place / "some.toml").write_text(TEXT.replace('"center", ', "").replace("[0, 3]", "[3]"))
    run_experiment(read_experiment(place / "some.toml"), place / "out")
    before = written(place / "out")
    monkeypatch.setattr(run, "fill_by", never)
    monkeypatch.setattr(run, "measure_fills", never)
    monkeypatch.setattr(scan, "_scan", None)
    monkeypatch.setattr(measuring, "search_contexts", None)
    run_experiment(read_experiment(place / "some.toml"), place / "out")
    assert written(place / "out") == before


def test_a_new_method_with_features_of_its_own_is_measured_alone(place, opened, tmp_path, monkeypatch):
    cell = replace(read_experiment(place / "some.toml").cells()[0], methods=("smooth", "thumbnail:16"), limit=2)
    folders = {"out": tmp_path / "x", "reuse": tmp_path / "kept"}
    first = evaluate([place / "queries"], opened, settings=cell, **folders)
    measured, fill_by = [], run.fill_by

    def counted(material, method, *arguments, **named):
        measured.append(method.name)
        return fill_by(material, method, *arguments, **named)

    monkeypatch.setattr(run, "fill_by", counted)
    more = evaluate([place / "queries"], opened, settings=replace(cell, methods=(*cell.methods, "hog")), **folders)
    assert measured == ["hog"] and [one.summary for one in more.results[:2]] == [one.summary for one in first.results]


@pytest.mark.slow
def test_what_has_changed_is_measured_again_and_the_rest_is_not(place, monkeypatch):
    run_experiment(read_experiment(place / "some.toml"), place / "out")
    measured, fill_by = [], run.fill_by

    def counted(material, method, *arguments, **named):
        measured.append((material.settings.masks, material.settings.holes_seed, method.name))
        return fill_by(material, method, *arguments, **named)

    monkeypatch.setattr(run, "fill_by", counted)
    (place / "some.toml").write_text(TEXT.replace('"oracle", ', '"ring", ').replace("[0, 3]", "[3]"))
    run_experiment(read_experiment(place / "some.toml"), place / "out")
    assert [one[2] for one in measured] == ["smooth", "ring", "thumbnail:16+rim"] * 2, "seed 3 draws other photos"
    measured.clear()
    (place / "some.toml").write_text(TEXT.replace('"oracle", ', '"oracle", "ring", '))
    damaged = sorted((place / "out" / "measured").iterdir())[0]
    damaged.write_bytes(damaged.read_bytes()[:100])
    run_experiment(read_experiment(place / "some.toml"), place / "out")
    assert [name for _, _, name in measured].count("ring") == 4 and len(measured) in (4, 5), "and a damaged file"


def test_a_method_that_was_kept_is_as_it_was_measured(place, opened, tmp_path):
    experiment = read_experiment(place / "some.toml")
    cell = experiment.cells()[0]
    first, second = (evaluate(experiment.photos, opened, tmp_path / "x", cell, reuse=tmp_path / "kept") for _ in "ab")
    plain = evaluate(experiment.photos, opened, tmp_path / "x", cell)
    for one, kept, alone in zip(first.results, second.results, plain.results, strict=True):
        assert one.cost == kept.cost and one.summary == kept.summary == alone.summary
        assert all(np.array_equal(one.photos[name], kept.photos[name], equal_nan=True) for name in one.photos)
    for row in first.drawn:
        assert np.array_equal(first.pictures(row), second.pictures(row))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("photos =", "photo =", r"has an unknown key 'photo': expected some of photos, index, methods"),
        ("methods = [", "limits = [", r"has an unknown key 'limits'"),
        ('index = "crops.ceret"', "", r"lacks the key index: add it"),
        ('["center", "irregular"]', '["centre"]', r"`masks` 'centre' are unknown: choose one of center"),
        ('["center", "irregular"]', '["center", "centre"]', r"`masks` 'centre' are unknown: choose one of center"),
        ('["center", "irregular"]', '["center", "center"]', r"masks is .*: expected a list of different texts"),
        ("seeds = [0, 3]", "seeds = [0.5]", r"seeds is .*: expected a list of different whole numbers"),
        ("seeds = [0, 3]", "seeds = [-1]", r"`seed` is -1: expected a whole number from 0"),
        ("seeds = [0, 3]", "seeds = []", r"seeds is .*: expected a list"),
        ("limit = 8", 'limit = "x"', r"`limit` is 'x': expected a whole number"),
        ("limit = 8", "limit 8", r"is not TOML \("),
        ('index = "crops.ceret"', "index = 3", r"index is 3: expected the path of an index"),
        ('"smooth", ', '"smoothest", ', r"smoothest"),
        ('photos = ["queries"]', 'photos = [""]', r"photos is an empty text: give a path"),
        ('index = "crops.ceret"', 'index = ""', r"index is an empty text: give a path"),
        ('["center", "irregular"]', '[""]', r"masks is an empty text"),
    ],
)
def test_a_file_that_says_something_else_is_refused(place, old, new, told):
    assert old in TEXT
    (place / "some.toml").write_text(TEXT.replace(old, new, 1))
    with pytest.raises((EvaluationError, SettingsError), match=told):
        run_experiment(read_experiment(place / "some.toml"), place / "out")
    assert not (place / "out").exists() or not list((place / "out").iterdir()), "refused before anything is measured"


def test_a_file_that_is_not_there_and_results_of_others(place):
    with pytest.raises(EvaluationError, match=r"other\.toml cannot be read: no such file"):
        read_experiment(place / "other.toml")
    (place / "out").mkdir()
    (place / "out" / "experiment.md").touch()  # an empty file has nothing to lose
    _check_own(read_experiment(place / "some.toml"), place / "out" / "experiment.md")
    (place / "out" / "experiment.md").write_text("mine")
    with pytest.raises(CeretError, match=r"experiment\.md"):
        run_experiment(read_experiment(place / "some.toml"), place / "out")
    assert (place / "out" / "experiment.md").read_text() == "mine"
    for name in ("report.html", "figure6-center.pdf", "overview-irregular.png"):
        (place / "elsewhere").mkdir(exist_ok=True)
        (place / "elsewhere" / name).write_text("mine")
        with pytest.raises(CeretError, match=name):
            run_experiment(read_experiment(place / "some.toml"), place / "elsewhere")
        (place / "elsewhere" / name).unlink()
    (place / "out" / "experiment.md").rename(place / "mine.md")
    (place / "out" / "irregular-3").mkdir()
    (place / "mine.md").rename(place / "out" / "irregular-3" / "table.md")
    with pytest.raises(CeretError, match=r"irregular-3.table\.md"):
        run_experiment(read_experiment(place / "some.toml"), place / "out")
    assert [path.name for path in (place / "out").iterdir()] == ["irregular-3"], "before anything is measured"


def test_shapes_are_for_regions_alone(place):
    text = TEXT + 'shapes = "shapes"\n'
    (place / "some.toml").write_text(text.replace('"irregular"', '"region"'))
    cells = read_experiment(place / "some.toml").cells()
    assert [(cell.masks, cell.shapes) for cell in cells[::2]] == [("center", None), ("region", str(place / "shapes"))]
    (place / "some.toml").write_text(text)
    with pytest.raises(SettingsError, match="`shapes` belong to `masks` region"):
        run_experiment(read_experiment(place / "some.toml"), place / "out")


def test_the_index_is_found_from_anywhere(place, monkeypatch, tmp_path):
    monkeypatch.chdir("/")
    assert PhotoIndex.open(read_experiment(place / "some.toml").index)


def worst(truth, fill, hole):
    """The largest difference under the hole."""
    return (np.abs(truth.astype(int) - fill).max(axis=-1) * hole).max(axis=(1, 2))


def test_own_metrics_are_columns_with_intervals_and_are_kept(place, opened, tmp_path, monkeypatch):
    experiment = read_experiment(place / "some.toml")
    cell = experiment.cells()[0]
    metrics = {"worst": worst}
    evaluate(experiment.photos, opened, tmp_path / "x", cell, reuse=tmp_path / "kept")
    monkeypatch.setattr(run, "fill_by", never)  # a further measure fills nothing again
    first = evaluate(experiment.photos, opened, tmp_path / "x", cell, reuse=tmp_path / "kept", metrics=metrics)
    for one in first.results:
        truth, hole = first.queries.photos, first.queries.holes
        fills = [first.pictures(row)[1 + first.results.index(one)] for row in range(len(truth))]
        np.testing.assert_array_equal(one.photos["worst"], worst(truth, np.stack(fills), hole))
    table = markdown_table(first).splitlines()
    assert "| worst |" in table[0] and "worst" in tables(first).splitlines()[len(table) + 1]

    monkeypatch.setattr(run, "measure_fills", never)
    again = evaluate(experiment.photos, opened, tmp_path / "x", cell, reuse=tmp_path / "kept", metrics=metrics)
    assert markdown_table(again) == markdown_table(first)


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        ({"l2": worst}, "'l2' needs a name of its own: rename it"),
        ({" ": worst}, "' ' needs a name of its own: rename it"),
        ({"mean": lambda truth, fill, hole: fill.mean()}, r"'mean' returned float64 \(\) for \d+ photos: expected one"),
        ({"text": lambda truth, fill, hole: np.full(len(fill), "a")}, "'text' returned <U1"),
        ({"hidden": eval("lambda truth, fill, hole: 0")}, "'hidden' has no source code that can be read"),
    ],
)
def test_metrics_that_cannot_be_used(place, opened, tmp_path, metrics, told):
    experiment = read_experiment(place / "some.toml")
    with pytest.raises(SettingsError, match=told):
        evaluate(
            experiment.photos, opened, tmp_path / "x", experiment.cells()[0], reuse=tmp_path / "kept", metrics=metrics
        )


def test_results_of_another_experiment_are_left_alone(place, query_folder, monkeypatch):
    text = 'photos = ["queries"]\nindex = "crops.ceret"\nmethods = ["smooth"]\nlimit = 2\nkeep_leaks = true\n'
    (place / "some.toml").write_text(text)
    run_experiment(read_experiment(place / "some.toml"), place / "out")
    before = written(place / "out")
    (place / "others").symlink_to(query_folder)
    (place / "other.toml").write_text(text.replace('"queries"', '"others"'))
    with pytest.raises(EvaluationError, match=r"out holds the results of another experiment.*choose another `out`"):
        run_experiment(read_experiment(place / "other.toml"), place / "out")
    assert written(place / "out") == before

    monkeypatch.chdir(place)  # the same photos, seen from elsewhere, and another method: the same experiment
    (place / "some.toml").write_text(text.replace('["smooth"]', '["smooth", "telea"]'))
    run_experiment(read_experiment("some.toml"), "out")
    assert "telea" in (place / "out" / "experiment.md").read_text()
