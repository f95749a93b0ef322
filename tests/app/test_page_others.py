"""Other photos of the place in the page: added, shown, taken off, and filled from as `ceret complete --others` does."""

import io
import json

import numpy as np
import pytest
from click.testing import CliRunner
from page_filling import encoded, filled
from page_server import GRADIOS_OWN, fetched, page_of
from PIL import Image
from place_views import lit, oval, psnr, removed, seen, turned

from ce_retrieval.app import others
from cli.main import main

pytest.importorskip("gradio", reason="Gradio is not installed")
pytestmark = GRADIOS_OWN

SIZE = (240, 360)
HOLE = oval(SIZE, (120, 198), (25, 31))
PAINTED = json.dumps({"size": [360, 240], "actions": [{"kind": "ellipse", "box": [167, 95, 229, 145]}]})


@pytest.fixture(scope="module")
def page(crop_index):
    with page_of(crop_index, max_pixels=300_000) as tab:
        yield tab


@pytest.fixture(scope="module")
def truth(bundled_photos):
    return np.asarray(Image.fromarray(bundled_photos[2]).resize(SIZE[::-1], Image.Resampling.BOX))


@pytest.fixture(scope="module")
def photo(truth):
    return encoded(removed(truth, HOLE))


@pytest.fixture(scope="module")
def view(truth):
    return lit(seen(truth, turned(SIZE, 12, 0.9)), 1.2)


@pytest.fixture
def tab(page, photo):
    tab = page.another()
    tab.choose(photo)
    return tab


def change(tab, remove=None, **files):
    """Add photos by their stems, or remove one; return the names of the tiles, and what is said."""
    added = [{"path": tab.send(data, f"{name}.png"), "name": f"{name}.png"} for name, data in files.items()]
    shown, said = tab.call("change_others", json.dumps({"add": added} if remove is None else {"remove": remove}))
    return shown["props"]["tiles"], said


@pytest.mark.slow
def test_they_fill_as_the_command_does(tab, photo, view, truth, tmp_path):
    tiles, said = change(tab, shot=encoded(view), more=encoded(view[:180]))
    assert [one["name"] for one in tiles] == ["shot.png", "more.png"] and not said
    assert max(Image.open(io.BytesIO(tab.client.get(tiles[0]["url"]).content)).size) == 320
    shown = filled(tab, PAINTED, method="places", seam=4)
    (tmp_path / "beach.png").write_bytes(photo)
    (tmp_path / "mask.png").write_bytes(fetched(tab, shown["mask"]))
    folder = tmp_path / "others"
    folder.mkdir()
    for name, one in (("shot", view), ("more", view[:180])):
        (folder / f"{name}.png").write_bytes(encoded(one))
    words = ["complete", tmp_path / "beach.png", "--mask", tmp_path / "mask.png", "--method", "places", "--seam", 4]
    words += ["--others", folder, "--out", tmp_path / "out", *index_of(shown)]
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert fetched(tab, shown["picture"]) == (tmp_path / "out" / "beach.png").read_bytes()
    mine = json.loads(fetched(tab, shown["record"]))
    theirs = json.loads((tmp_path / "out" / "beach.json").read_text().replace(str(folder), "others"))
    for one in (mine, theirs):  # the last digits of a homography depend on the number of threads
        for candidate in one["candidates"]:
            candidate["homography"] = np.round(candidate["homography"], 5).tolist()
    for name in ("others", "candidates", "settings", "hole", "files"):
        assert mine[name] == theirs[name], name
    assert mine["others"]["path"] == "others" and mine["candidates"][0]["photo"].startswith("others/")
    assert "ceret-app" not in json.dumps(mine) and "ceret-app" not in shown["about"] and "shot.png" in shown["about"]
    assert psnr(np.asarray(Image.open(io.BytesIO(fetched(tab, shown["picture"])))), truth, HOLE) > 15, (
        "what was there, and not what lay over it"
    )
    assert "--others others" in shown["command"]
    looked = tab.call("look", event={"index": 0, "value": None})
    assert "png" in looked[3] and fetched(tab, looked[2])
    # A program gets the same.
    sent = [
        {"path": tab.send(data, name), "meta": {"_type": "gradio.FileData"}}
        for name, data in (("beach.png", photo), ("shot.png", encoded(view)), ("more.png", encoded(view[:180])))
    ]
    picture, record = tab.call("complete", sent[0], None, PAINTED, None, "places", {"seam": 4}, sent[1:])
    assert fetched(tab, picture) == (tmp_path / "out" / "beach.png").read_bytes()
    assert json.loads(fetched(tab, record))["others"] == theirs["others"]


def index_of(shown):
    """The index, which the page's command names."""
    words = shown["command"].split()
    return words[words.index("--index") :][:2]


def test_one_that_is_refused_spares_the_others(page):
    tiles, said = change(page.another(), bad=b"no photo", good=encoded(np.zeros((20, 30, 3), np.uint8)), worse=b"")
    assert [one["name"] for one in tiles] == ["good.png"] and said.count("role='alert'") == 2
    assert "“bad.png”" in said and "“worse.png”" in said


def test_they_are_added_and_taken_off(page):
    tab = page.another()
    plain = {name: encoded(np.full((20, 30, 3), value, np.uint8)) for name, value in (("a", 10), ("b", 20))}
    tiles, _ = change(tab, **plain)
    assert len(change(tab, again=plain["a"])[0]) == 2, "the same photo again"
    tiles, _ = change(tab, a=encoded(np.full((20, 30, 3), 30, np.uint8)))
    assert [one["name"] for one in tiles] == ["a.png", "b.png", "a (2).png"]
    tiles, said = change(tab, remove=tiles[0]["id"])
    assert [one["name"] for one in tiles] == ["b.png", "a (2).png"] and not said
    assert len(change(tab, remove="no such photo")[0]) == 2
    for data, part in ((b"nothing", "cannot be opened"), (encoded(np.zeros((600, 600, 3), np.uint8)), "too large")):
        tiles, said = change(tab, wrong=data)
        assert part in said and "role='alert'" in said and len(tiles) == 2
    assert len(page.another().call("change_others", json.dumps({"add": []}))[0]["props"]["tiles"]) == 0, (
        "another user's"
    )


@pytest.mark.parametrize(
    "value",
    ["", "[]", "null", "{", '{"add": 3}', '{"add": [{"path": "/etc/passwd", "name": "a.png"}]}', '{"add": ["a"]}'],
)
def test_forged_values_are_refused(page, value):
    shown, said = page.another().call("change_others", value)
    assert "did not come from the page" in said and shown["props"]["tiles"] == []


def test_there_are_limits(page, monkeypatch, tmp_path):
    tab = page.another()
    photos = [encoded(np.full((20, 30, 3), value, np.uint8)) for value in range(4)]
    monkeypatch.setattr(others, "MOST", 2)
    tiles, said = change(tab, a=photos[0], b=photos[1], c=photos[2])
    assert len(tiles) == 2 and said.count("More than 40 other photos") == 1
    many = json.dumps({"add": [{"path": "/no", "name": "a.png"}] * 41})
    assert "More than 40 other photos" in tab.call("change_others", many)[1]
    monkeypatch.setattr(others, "MOST", 40)
    monkeypatch.setattr(others, "MOST_BYTES", 200)
    assert "larger than 0 MB" in change(tab, d=photos[3])[1]
    path = tab.send(photos[3], "d.png")
    for name in ("d.php", "../../d", "d"):
        shown, said = tab.call("change_others", json.dumps({"add": [{"path": path, "name": name}]}))
        path = tab.send(photos[3], "d.png")
        assert "does not end as that of a photo" in said and len(shown["props"]["tiles"]) == 2
    assert not list(tmp_path.iterdir())


def test_what_was_deleted_is_said_and_other_methods_do_without(tmp_path):
    served, kept = tmp_path / "served", tmp_path / "kept"
    served.mkdir(), kept.mkdir()
    mine = others.Others(served, kept)
    assert mine.folder() is None
    for value in (1, 2):
        mine.add(encoded(np.full((20, 30, 3), value, np.uint8)), "../a b&.PNG", 1000)
    assert sorted(path.name for path in mine.folder().iterdir()) == ["a b_ (2).PNG", "a b_.PNG"]
    mine.photos[0].file.unlink()
    with pytest.raises(others.PageError, match="1 of the other photos of the place are no longer here"):
        mine.folder()
    assert mine.folder() == kept / "others" and len(mine.photos) == 1


@pytest.mark.slow
def test_without_an_index_they_and_the_photo_itself_fill(photo, view):
    with page_of() as page:
        tab = page.another()
        tab.choose(photo)
        offered = [one["props"] for one in tab.config["components"] if one["props"].get("elem_id") == "method"]
        assert [value for _, value in offered[0]["choices"]] == ["auto", "places", "patchmatch", "network"]
        said = filled(tab, PAINTED, method="places", collection=None)["status"]
        assert "needs other photos" in said and "`" not in said
        change(tab, shot=encoded(view))
        shown = filled(tab, PAINTED, method="auto", collection=None, places="auto")
        assert "--index" not in shown["command"] and "--others others" in shown["command"]
        assert "of the same place: “shot.png”" in shown["about"]
        assert "no collection here" in tab.call("find", "", None, "whole", "index", 5, "")[0]
