"""The written result: provenance that says where every pixel came from, and files that belong together."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from ce_retrieval.completion.overlay import RetrievalCompleter
from ce_retrieval.completion.record import json_lines, read_saved, run_lengths
from ce_retrieval.completion.result import Completion
from ce_retrieval.completion.settings import RetrievalSettings
from ce_retrieval.errors import StorageError
from ce_retrieval.photos import load_photo, save_photo
from ce_retrieval.settings import ranges

SETTINGS = RetrievalSettings(k=4, candidates=20, rerank="rim")
FILLS = ranges(RetrievalSettings)["fill"].choices


@pytest.fixture(scope="module")
def completer(by_retrieval) -> Callable[..., RetrievalCompleter]:
    """Completers by what differs from SETTINGS."""
    return lambda **changes: by_retrieval(replace(SETTINGS, **changes))


@pytest.fixture(scope="module")
def photo(bundled_photos) -> np.ndarray:
    return np.ascontiguousarray(bundled_photos[0][200:400:2, 100:280:2])


@pytest.fixture(scope="module")
def done(completer, photo, odd_holes) -> Completion:
    """The photo, its centre filled, with four candidates."""
    return completer().complete(photo, odd_holes(*photo.shape[:2])["centre"], candidate_fills=True)


def decoded(hole: dict) -> np.ndarray:
    """The hole of a provenance, by its run lengths alone."""
    assert sum(hole["runs"]) == hole["height"] * hole["width"]
    flat = np.repeat(np.arange(len(hole["runs"])) % 2 == 1, hole["runs"])
    return flat.reshape(hole["height"], hole["width"])


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("rerank", ["none", "rim"])
def test_the_json_says_where_every_filled_pixel_came_from(completer, photo, odd_holes, tmp_path, fill, rerank):
    filler = completer(fill=fill, rerank=rerank)
    for name, hole in odd_holes(*photo.shape[:2]).items():
        filler.complete(photo, hole).save(tmp_path, name, {"photo": {"path": "a.jpg"}})
        record = json.loads((tmp_path / f"{name}.json").read_text())
        np.testing.assert_array_equal(decoded(record["hole"]), hole)
        assert record["hole"]["pixels"] == hole.sum()
        y0, x0, y1, x1 = record["hole"]["box"]
        assert hole[y0:y1, x0:x1].sum() == hole.sum()
        assert hole[y0:y1, x0].any() and hole[y0:y1, x1 - 1].any() and hole[y0, x0:x1].any() and hole[y1 - 1].any()
        assert record["photo"] == {"path": "a.jpg"}
        assert record["index"]["manifest_sha256"] == filler.index.manifest.sha256
        assert record["settings"] == asdict(filler.settings)
        candidates = record["candidates"]
        assert [c["rank"] for c in candidates] == [1, 2, 3, 4]
        assert sum(c["share"] for c in candidates) == pytest.approx(1, abs=1e-12)
        for candidate in candidates:
            data = Path(candidate["photo"]).read_bytes()
            assert candidate["sha256"] == hashlib.sha256(data).hexdigest()
            height, width = load_photo(candidate["photo"]).pixels.shape[:2]
            assert candidate["scale"] == [photo.shape[0] / height, photo.shape[1] / width]
            assert candidate["offset"] == [0, 0]
            assert candidate["label"] == Path(candidate["photo"]).parent.name
        written = load_photo(tmp_path / f"{name}.png").pixels
        np.testing.assert_array_equal(written[~hole], photo[~hole])


def test_run_lengths_of_every_small_hole():
    for code in range(1, 2**9):
        hole = np.array([code >> bit & 1 for bit in range(9)], bool).reshape(3, 3)
        runs = run_lengths(hole)
        assert all(run > 0 for run in runs[1:])
        np.testing.assert_array_equal(decoded({"runs": runs, "height": 3, "width": 3}), hole)


def test_the_json_is_short_and_valid(done):
    record = done.provenance()
    text = json_lines({**record, "none": [], "text": 'quoted "\n" ü'})
    back = json.loads(text)
    assert back["none"] == [] and back["text"] == 'quoted "\n" ü'
    assert {name: back[name] for name in record} == json.loads(json.dumps(record))
    assert len(text.splitlines()) <= len(back) + 4 + 4


def test_candidates_are_written_and_those_of_an_earlier_run_removed(done, completer, photo, tmp_path):
    assert done.save(tmp_path, "a") == tmp_path / "a.png"
    pictures = sorted(path.name for path in (tmp_path / "a.candidates").iterdir())
    assert pictures == ["01.png", "02.png", "03.png", "04.png"]
    for fill, name in zip(done.fills, pictures, strict=True):
        np.testing.assert_array_equal(load_photo(tmp_path / "a.candidates" / name).pixels, fill)
    record = read_saved(tmp_path, "a")
    assert record is not None and len(record["files"]) == 5
    two = completer(k=2).complete(photo, done.hole, candidate_fills=True)
    (tmp_path / "a.candidates" / "notes.txt").write_text("mine")
    two.save(tmp_path, "a")
    assert sorted(os.listdir(tmp_path / "a.candidates")) == ["01.png", "02.png", "notes.txt"]


def test_a_result_whose_pictures_are_not_its_own_is_none(done, tmp_path):
    def saved() -> dict | None:
        return read_saved(tmp_path, "a")

    assert saved() is None
    for damage in (
        lambda: (tmp_path / "a.png").unlink(),
        lambda: (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-1]),
        lambda: (tmp_path / "a.candidates" / "02.png").unlink(),
        lambda: (tmp_path / "a.json").write_text('{"files": '),
        lambda: (tmp_path / "a.json").write_text("[]"),
        lambda: (tmp_path / "a.json").write_text('{"files": 3}'),
        lambda: (tmp_path / "a.json").write_text("{}"),
        lambda: (tmp_path / "a.json").write_bytes(b"\xff\xfe"),
        lambda: (tmp_path / "a.json").unlink(),
    ):
        done.save(tmp_path, "a")
        assert saved() is not None
        damage()
        assert saved() is None
        (tmp_path / "a.json").unlink(missing_ok=True)  # a file of others is never replaced


def test_names_that_are_not_utf8_are_written(done, tmp_path):
    path = os.fsdecode(b"caf\xe9.jpg")
    done.save(tmp_path, "a", {"photo": {"path": path}})
    record = read_saved(tmp_path, "a")
    assert record is not None and record["photo"]["path"] == path


def test_a_folder_that_cannot_be_written_is_one_line(done, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file") as caught:
        done.save(tmp_path / "file" / "sub", "a")
    assert "\n" not in str(caught.value)


def test_a_result_is_like_the_photo_that_was_completed(index, photo, odd_holes, tmp_path):
    done = RetrievalCompleter(index, SETTINGS).complete(photo, odd_holes(*photo.shape[:2])["centre"])
    save_photo(tmp_path / "photo.png", photo)
    with pytest.raises(ValueError, match="load it at its own size"):
        done.save(tmp_path / "a.png", like=load_photo(tmp_path / "photo.png", size=32))
    assert os.listdir(tmp_path) == ["photo.png"]
    done.save(tmp_path / "a.png", like=load_photo(tmp_path / "photo.png"))
    np.testing.assert_array_equal(load_photo(tmp_path / "a.png").pixels, done.best)
    record = read_saved(tmp_path, "a")
    assert record is not None and record["encoding"]["not_kept"] == []


def test_a_full_disk_leaves_the_earlier_result_whole(completer, photo, odd_holes, tmp_path):
    """The limit on the size of files stands in for a full disk: writing beyond it is an OSError in the same place."""
    completer().complete(photo, odd_holes(*photo.shape[:2])["centre"]).save(tmp_path, "a")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    np.savez(tmp_path / "photo.npz", photo=255 - photo)
    script = """
import resource, sys
import numpy as np
from ce_retrieval.completion.result import Completion
from ce_retrieval.completion.settings import RetrievalSettings
from ce_retrieval.errors import StorageError
folder = sys.argv[1]
photo = np.load(folder + "/photo.npz")["photo"]
hole = np.zeros(photo.shape[:2], bool)
hole[4, 5] = True
done = Completion(photo, hole, RetrievalSettings(), "retrieval")
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    done.save(folder, "a")
except StorageError as error:
    assert "\\n" not in str(error)
    print("refused:", error)
"""
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("refused: ") and "a.png" in run.stdout
    (tmp_path / "photo.npz").unlink()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("written", [0, 1, 3, 5])
def test_a_full_disk_leaves_nothing_new(done, tmp_path, room_for_files, written):
    """Neither an empty folder, nor pictures without their record; the earlier result of another photo stays."""
    done.save(tmp_path, "other")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    room_for_files(written)
    with pytest.raises(StorageError, match="no space left on device; free space"):
        done.save(tmp_path, "a")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "a.candidates").exists()
