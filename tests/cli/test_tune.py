"""`ceret tune`, and what `ceret index` says of recipes."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.main import main

BUILD = ("--features", "thumbnail:8", "--size", "32", "--kind", "none")


def run(*arguments):
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(25):
        rough = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(rough).resize((40, 40), Image.Resampling.BICUBIC).save(folder / f"{seed:02d}.png")
    return folder


def test_a_recipe_is_explained_before_it_is_built_and_can_be_tuned(photos, tmp_path):
    index = tmp_path / "photos.ceret"
    built = run("index", photos, "--out", index, "--recipe", "pooled", *BUILD)
    assert built.exit_code == 0, built.output
    assert [line.split()[0] for line in built.stderr.splitlines()[:3]] == ["recipe", "exact", "pooled"]
    assert built.stderr.splitlines()[2].endswith("<- taken")
    about = json.loads(run("info", index, "--json").stdout)
    assert about["recipe"] == "pooled" and about["codes"] == {"parts": 2, "lists": None, "effort": 1.0, "recall": None}
    tuned = run("tune", index, "--recipe", "pooled", "--queries", 5, "--json")
    assert tuned.exit_code == 0, tuned.output
    told = json.loads(tuned.stdout)
    assert told["recipe"] == "pooled" and told["measured"][-1]["recall"]["centre"] == 1
    assert "effort 0.25" in run("tune", index, "--recipe", "pooled", "--queries", 5).stdout
    exact = run("tune", index)
    assert "searched by the recipe exact" in exact.stdout
    assert json.loads(run("info", index, "--json").stdout)["codes"] is None


def test_few_photos_are_indexed_without_a_word_of_recipes(photos, tmp_path):
    built = run("index", photos, "--out", tmp_path / "photos.ceret", *BUILD)
    assert built.exit_code == 0 and "recipe" not in built.output


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--recall", "2"], 2, "'2' is not a number from 0.5 to 1"),
        (["--recipe", "hnsw"], 2, "'hnsw' is not one of 'auto', 'exact', 'pooled'"),
        (
            ["--recipe", "exact", "--max-memory", "1MB"],
            1,
            "--max-memory 1MB is too little to search 25 photos: give at least 2442MB",
        ),
    ],
)
def test_bad_values_are_one_line(photos, tmp_path, arguments, code, message, monkeypatch):
    from indexes import recipes

    index = tmp_path / "photos.ceret"
    run("index", photos, "--out", index, *BUILD)
    if code == 1:
        whole = recipes.recipes
        monkeypatch.setattr(recipes, "recipes", lambda count, *more: whole(100_000 * count, *more))
    done = run("tune", index, *arguments)
    assert done.exit_code == code and message in done.stderr and "Traceback" not in done.output


def test_an_index_that_is_not_there_is_named(tmp_path):
    done = run("tune", tmp_path / "none.ceret")
    assert done.exit_code == 1 and "no index at" in done.stderr
