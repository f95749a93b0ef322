"""Scenes that vanish or change after they were indexed, or cannot be used: never filled from, and named, with what helps."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scene_cases import SHAPE, hole_of, index_of, of_size, stems

from ce_retrieval.completion.overlay import RetrievalCompleter
from ce_retrieval.completion.patches.completer import PatchCompleter
from ce_retrieval.completion.scenes import ranking
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.settings import PatchSettings, RetrievalSettings, SceneSettings
from ce_retrieval.errors import PhotoError
from ce_retrieval.photo_index import PhotoIndex

SETTINGS = SceneSettings(places="none", rerank="rim", allow_same_photo=True, top=3)
PATCHES = PatchSettings(rerank="rim", allow_same_photo=True)
HOLE = hole_of(np.s_[20:40, 20:45])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def overwrite(path: Path) -> None:
    shutil.copy(path.with_name("cat.png"), path)


@pytest.fixture(scope="module")
def complete_order(index, truth) -> dict[tuple[int, int], list[str]]:
    """The candidates for the photo at two sizes while all scenes are there."""
    completer = SceneCompleter(index, replace(SETTINGS, top=4))
    shapes = (SHAPE, (64, 64))
    photos = [of_size(truth, *shape) for shape in shapes]
    done = completer.complete_many(photos, [hole_of(np.s_[20:40, 20:45], shape=shape) for shape in shapes])
    return dict(zip(shapes, map(stems, done), strict=True))


@pytest.mark.parametrize("spoil", [Path.unlink, empty, overwrite])
@pytest.mark.parametrize("shape", [SHAPE, (64, 64)])  # at the index's size scenes come from its cache
def test_what_vanished_or_changed_is_never_used(tmp_path, scenes, truth, complete_order, spoil: Callable, shape):
    index = index_of(tmp_path, scenes)
    photo = of_size(truth, *shape)
    hole = hole_of(np.s_[20:40, 20:45], shape=shape)
    assert complete_order[shape][0] == "own"
    spoil(tmp_path / "scenes" / "own.png")
    for aligned in (2, 200):
        done = SceneCompleter(index, replace(SETTINGS, aligned=aligned, top=4)).complete(photo, hole)
        assert len(done.candidates) == min(aligned, 3) and "own" not in stems(done)
        assert len(done.dropped) == 1 and "own.png" in done.dropped[0] and done.lost == done.dropped
        assert ("has changed" if spoil is not Path.unlink else "cannot be read any more") in done.dropped[0]
        patches = PatchCompleter(index, replace(PATCHES, aligned=aligned)).complete(photo, hole)
        assert stems(patches)[0] in complete_order[shape][1:] and patches.lost == patches.dropped == done.dropped


@pytest.mark.parametrize("aligned", [2, 200])
def test_without_a_usable_scene_nothing_else_fills(tmp_path, scenes, truth, aligned):
    index = index_of(tmp_path, scenes)
    shutil.rmtree(tmp_path / "scenes")
    for completer in (
        SceneCompleter(index, replace(SETTINGS, aligned=aligned)),
        *(PatchCompleter(index, replace(PATCHES, start=s, aligned=aligned)) for s in ("auto", "scene", "smooth")),
    ):
        for shape in (SHAPE, (64, 64)):
            hole = hole_of(np.s_[20:40, 20:45], shape=shape)
            with pytest.raises(
                PhotoError, match=r"^none of the 4 scenes can be read .restore lost files.: .* and 1 more$"
            ) as caught:
                completer.complete(of_size(truth, *shape), hole)
            assert "\n" not in str(caught.value) and "put it back, or bring the index up to date with" in str(
                caught.value
            )
    assert PatchCompleter(None, PATCHES).complete(truth, HOLE).index is None  # asked for, patches of the photo serve


def test_the_next_scene_takes_the_place_of_a_lost_one(tmp_path, scenes, truth):
    index = index_of(tmp_path, scenes)
    for rerank in ("none", "rim"):
        settings = replace(SETTINGS, rerank=rerank, aligned=2, top=4)
        nearest = set(stems(SceneCompleter(index, settings).complete(truth, HOLE)))
        assert len(nearest) == 2 and "own" in nearest
        (tmp_path / "scenes" / "own.png").rename(tmp_path / "away.png")
        done = SceneCompleter(index, settings).complete(truth, HOLE)
        assert len(done.candidates) == 2 and nearest - {"own"} < set(stems(done))
        assert len(done.lost) == 1 and "own.png" in done.lost[0]
        (tmp_path / "away.png").rename(tmp_path / "scenes" / "own.png")


@pytest.mark.parametrize("patches", [None, "scene", "smooth"])
def test_scenes_that_vanish_before_they_are_blended_are_one_line(index, truth, monkeypatch, patches):
    """Every one can be opened to be placed, and none a second time."""
    completer = PatchCompleter(index, replace(PATCHES, start=patches)) if patches else SceneCompleter(index, SETTINGS)
    finder = (completer._scenes if patches else completer)._finder
    placed, opened = set(), finder.opened

    def once(neighbor, query):
        if neighbor.name in placed:
            raise PhotoError(f"{neighbor.name} cannot be read any more: put it back")
        placed.add(neighbor.name)
        return opened(neighbor, query)

    monkeypatch.setattr(finder, "opened", once)
    with pytest.raises(PhotoError, match=r"^none of the [1-3] scenes can be read|^the only scene cannot be read"):
        completer.complete(truth, HOLE)
    assert len(placed) == 4


def test_the_remedy_fits_the_reason(tmp_path, bundled_photos, index, truth, monkeypatch):
    def refused(index: PhotoIndex, photo: np.ndarray, hole: np.ndarray, **settings) -> str:
        with pytest.raises(PhotoError) as caught:
            SceneCompleter(index, replace(SETTINGS, **settings)).complete(photo, hole)
        return str(caught.value)

    wide = index_of(tmp_path, {"a": bundled_photos[2][:60, :220], "b": bundled_photos[2][90:150, :220]})
    photo, hole = np.ascontiguousarray(bundled_photos[2][10:210, 20:50]), hole_of(np.s_[1:-1, 10:20], shape=(200, 30))
    unfit = "scenes can fill the hole (mark a smaller one, or index others)"
    said = refused(wide, photo, hole)
    assert said.startswith(f"none of the 2 {unfit}: ") and said.count(".png: too small: 220x60 px, ") == 2
    more = "the only scene cannot fill the hole (mark a smaller one, index others, or choose a larger `aligned`): "
    assert refused(wide, photo, hole, aligned=1).startswith(more)
    assert refused(wide, photo, hole, aligned=1, candidates=1).startswith(more)
    (tmp_path / "scenes" / "a.png").unlink()
    both = "none of the 2 scenes can fill the hole (mark a smaller one, index others, or restore lost files): "
    assert refused(wide, photo, hole).startswith(both)

    with monkeypatch.context() as patch:
        patch.setattr(ranking, "DUPLICATE", 9.0)
        assert refused(index, truth, HOLE, pick=2) == "`pick` is 2, but 1 candidate is left: choose 1"
    last = "`pick` is 3, but 2 candidates are left: choose 1 to 2, or a larger `aligned`"
    assert refused(index, truth, HOLE, pick=3, aligned=2) == last
    assert refused(index, truth, HOLE, pick=3, aligned=2, candidates=2) == last


def test_a_pick_that_vanished_may_be_had_from_a_larger_top(index, truth, monkeypatch):
    completer = SceneCompleter(index, replace(SETTINGS, top=2, pick=2))
    first, opened = stems(completer.complete(truth, HOLE))[0], completer._finder.opened
    names: list[str] = []

    def vanishing(neighbor, query):
        names.append(neighbor.name)
        if Path(neighbor.name).stem == first and names.count(neighbor.name) == 2:
            raise PhotoError(f"{neighbor.name} cannot be read any more: put it back")
        return opened(neighbor, query)

    monkeypatch.setattr(completer._finder, "opened", vanishing)
    with pytest.raises(PhotoError, match=r"^`pick` is 2, but 1 candidate is left: choose 1, or a larger `top`$"):
        completer.complete(truth, HOLE)


def test_a_term_that_is_no_number_is_named(index, truth):
    terms = {"mine": lambda *_: float("nan"), "fine": lambda *_: 1.0}
    for settings in (SETTINGS, replace(SETTINGS, aligned=1)):
        with pytest.raises(
            PhotoError, match=r"^no scene can be ranked: .* by mine is not finite; .*weight 0 in `terms`$"
        ):
            SceneCompleter(index, settings, terms=terms).complete(truth, HOLE)
    weighed = replace(SETTINGS, terms={"mine": 0.0})
    assert stems(SceneCompleter(index, weighed, terms=terms).complete(truth, HOLE))[0] == "own"
    dark = {"light": lambda shows, photo, hole: 1.0 if shows[hole].mean() > 128 else float("inf")}
    done = SceneCompleter(index, SETTINGS, terms=dark).complete(truth, HOLE)
    assert len(done.candidates) + len(done.dropped) == 4 and done.candidates and done.dropped and not done.lost
    assert all(line.endswith("its distance by the ranking term light is not finite") for line in done.dropped)


def test_every_completer_names_lost_scenes(tmp_path, scenes, truth):
    index = index_of(tmp_path, scenes)
    (tmp_path / "scenes" / "cat.png").unlink()
    by_retrieval = RetrievalCompleter(index, RetrievalSettings(k=3, rerank="rim", allow_same_photo=True))
    for completer in (SceneCompleter(index, SETTINGS), PatchCompleter(index, PATCHES), by_retrieval):
        loss = completer.complete(truth, HOLE).loss
        assert loss.startswith("1 scene could not be read, the first: ") and "cat.png" in loss and "\n" not in loss
