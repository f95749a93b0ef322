"""Completing folders: pairs of photos and masks, what is skipped and what is done again, failures, kills."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.completion import folders as folder_module
from ce_retrieval.completion.folders import complete_folder, finished
from ce_retrieval.completion.overlay import RetrievalCompleter
from ce_retrieval.completion.plan import Job, MaskReading, Outcome, plan_jobs
from ce_retrieval.completion.settings import RetrievalSettings
from ce_retrieval.errors import MaskError, PhotoError, SourceError, StorageError
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, add_photos, build_index
from ce_retrieval.photos import load_photo

SETTINGS = RetrievalSettings(k=3, candidates=15, rerank="rim")


@pytest.fixture(scope="module")
def completer(by_retrieval) -> RetrievalCompleter:
    return by_retrieval(SETTINGS)


@pytest.fixture
def photos(tmp_path, bundled_photos) -> Path:
    """Seven photos 80x100 in a folder with a subfolder."""
    place = tmp_path / "photos"
    (place / "sub").mkdir(parents=True)
    for i in range(7):
        photo = Image.fromarray(np.ascontiguousarray(bundled_photos[i % 4][10 * i : 160 + 10 * i : 2, :200:2]))
        photo.save(place / ("sub" if i > 4 else "") / f"{i}.{'jpg' if i % 2 else 'png'}")
    return place


@pytest.fixture
def mask(tmp_path) -> Path:
    hole = np.zeros((80, 100), np.uint8)
    hole[20:60, 30:70] = 255
    Image.fromarray(hole).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def run(completer: RetrievalCompleter, photos: Path, mask: Path, out: Path, **options) -> list[Outcome]:
    return list(complete_folder(completer, plan_jobs(photos, mask, out), out, **options))


def stems(jobs) -> list[str]:
    return [job.stem for job in jobs if isinstance(job, Job)]


def test_a_folder_with_one_mask_mirrors_its_subfolders(completer, photos, mask, tmp_path):
    out = tmp_path / "out"
    progress: list[tuple[int, int]] = []
    outcomes = run(completer, photos, mask, out, progress=lambda done, total: progress.append((done, total)))
    names = ["0", "1", "2", "3", "4", "sub/5", "sub/6"]
    assert sorted(contents(out)) == sorted(f"{name}{suffix}" for name in names for suffix in (".png", ".json"))
    assert [o.written for o in outcomes] == [out / f"{name}.png" for name in names]
    assert finished(outcomes) == (7, 0, [])
    assert progress == [(i, 7) for i in range(1, 8)]
    hole = np.asarray(Image.open(mask)) > 0
    for outcome in outcomes:
        photo = load_photo(outcome.photo).pixels
        alone = completer.complete(photo, hole)
        np.testing.assert_array_equal(load_photo(outcome.written).pixels, alone.best)
        record = json.loads(outcome.written.with_suffix(".json").read_text())
        assert record["photo"]["path"] == str(outcome.photo) and record["mask"]["path"] == str(mask)


def test_masks_are_found_by_path_and_by_name(photos, tmp_path):
    masks = tmp_path / "masks"
    (masks / "sub").mkdir(parents=True)
    for name in ("0.png", "1.gif", "2.png", "5.png", "sub/6.bmp", "sub/0.png"):
        (masks / name).write_bytes(b"")
    jobs = plan_jobs(photos, masks, tmp_path / "out")
    found = {job.stem: job.mask.relative_to(masks).as_posix() for job in jobs if isinstance(job, Job)}
    assert found == {"0": "0.png", "1": "1.gif", "2": "2.png", "sub/5": "5.png", "sub/6": "sub/6.bmp"}
    missing = [job for job in jobs if isinstance(job, Outcome)]
    assert [job.photo.stem for job in missing] == ["3", "4"]
    assert all(isinstance(job.error, MaskError) and str(masks) in job.reason for job in missing)
    assert "add 3.png" in missing[0].reason and str(photos / "3.jpg") in missing[0].reason


def test_one_photo_takes_a_mask_or_a_folder_of_masks(photos, mask, tmp_path):
    assert plan_jobs(photos / "1.jpg", mask, tmp_path / "out") == [Job(photos / "1.jpg", mask, "1")]
    masks = tmp_path / "masks"
    masks.mkdir()
    shutil.copy(mask, masks / "1.png")
    assert plan_jobs(photos / "1.jpg", masks, tmp_path / "out") == [Job(photos / "1.jpg", masks / "1.png", "1")]


def test_same_names_are_refused_rather_than_overwritten(completer, photos, mask, tmp_path):
    shutil.copy(photos / "0.png", photos / "1.png")
    outcomes = run(completer, photos, mask, tmp_path / "out")
    written, _, failed = finished(outcomes)
    assert written == 7 and [o.photo.name for o in failed] == ["1.png"]
    assert "1.jpg" in failed[0].reason and "rename" in failed[0].reason
    masks = tmp_path / "masks"
    masks.mkdir()
    shutil.copy(mask, masks / "0.png")
    shutil.copy(mask, masks / "0.bmp")
    twice = plan_jobs(photos / "0.png", masks, tmp_path / "out")[0]
    assert isinstance(twice, Outcome) and "keep 0.bmp or 0.png" in twice.reason


def test_wrong_paths_are_named(photos, mask, tmp_path):
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"no photo at .*nowhere"):
        plan_jobs(tmp_path / "nowhere", mask, out)
    with pytest.raises(MaskError, match=r"no mask at .*nowhere"):
        plan_jobs(photos, tmp_path / "nowhere", out)
    with pytest.raises(SourceError, match="empty"):
        plan_jobs(tmp_path / "empty", mask, out)
    with pytest.raises(MaskError, match=r"empty.*holds no mask"):
        plan_jobs(photos, tmp_path / "empty", out)


def test_results_never_overwrite_photos_or_masks(completer, photos, mask, tmp_path):
    before = contents(photos)
    with pytest.raises(StorageError, match="choose another"):
        plan_jobs(photos, mask, photos / "sub" / "..")
    refused = plan_jobs(photos / "0.png", mask, photos)[0]
    assert isinstance(refused, Outcome) and "overwrite the photo" in refused.reason
    shutil.copy(mask, photos / "1.png")
    refused = plan_jobs(photos / "1.jpg", photos / "1.png", photos)[0]
    assert isinstance(refused, Outcome) and "overwrite the mask" in refused.reason
    (photos / "1.png").unlink()
    # Beside a photo of another suffix there is room.
    assert finished(run(completer, photos / "1.jpg", mask, photos))[0] == 1
    assert {name: data for name, data in contents(photos).items() if name in before} == before


def test_results_and_masks_inside_the_folder_are_not_taken_for_photos(completer, photos, mask, tmp_path):
    masks, out = photos / "masks", photos / "results"
    (masks / "sub").mkdir(parents=True)
    for name in ("0", "1", "2", "3", "4", "sub/5", "sub/6"):
        shutil.copy(mask, masks / f"{name}.png")
    for expected in ((7, 0, []), (0, 7, [])):
        assert finished(run(completer, photos, masks, out)) == expected


def test_what_is_done_is_skipped_and_left_untouched(completer, photos, mask, tmp_path):
    out = tmp_path / "out"
    run(completer, photos, mask, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    outcomes = run(completer, photos, mask, out)
    assert finished(outcomes) == (0, 7, [])
    assert all(o.written and o.written.is_file() for o in outcomes)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before
    moved = tmp_path / "elsewhere"
    shutil.copytree(photos, moved)
    assert finished(run(completer, moved, mask, out)) == (0, 7, [])


def redone(completer: RetrievalCompleter, photos: Path, mask: Path, out: Path, **options) -> set[str]:
    outcomes = run(completer, photos, mask, out, **options)
    assert not finished(outcomes)[2]
    return {outcome.photo.stem for outcome in outcomes if not outcome.skipped}


def test_what_has_changed_is_done_again(completer, crop_folder, photos, mask, tmp_path):
    out = tmp_path / "out"
    everything = set("0123456")
    assert redone(completer, photos, mask, out) == everything
    shutil.copy(photos / "2.png", photos / "0.png")
    assert redone(completer, photos, mask, out) == {"0"}
    np.testing.assert_array_equal(load_photo(out / "0.png").pixels, load_photo(out / "2.png").pixels)
    (out / "3.png").unlink()
    (out / "4.json").unlink()
    (out / "2.png").write_bytes((out / "2.png").read_bytes()[:-9])  # as a loss of power leaves it
    (out / "1.json").write_text((out / "1.json").read_text()[:300])
    assert redone(completer, photos, mask, out) == {"1", "2", "3", "4"}
    hole = np.asarray(Image.open(mask)).copy()
    hole[0, 0] = 255
    Image.fromarray(hole).save(mask)
    assert redone(completer, photos, mask, out) == everything
    assert redone(completer, photos, mask, out, reading=MaskReading(invert=True)) == everything
    assert redone(completer, photos, mask, out, reading=MaskReading(invert=True)) == set()
    assert redone(completer, photos, mask, out) == everything
    other = RetrievalCompleter(completer.index, replace(SETTINGS, fill="paste"))
    assert redone(other, photos, mask, out) == everything
    shutil.copytree(crop_folder / "photo2", tmp_path / "more")
    path = tmp_path / "b.ceret"
    build_index([crop_folder / "photo0"], path, IndexSettings(features="thumbnail:16", size=64, workers=1, kind="none"))
    assert redone(RetrievalCompleter(PhotoIndex.open(path), SETTINGS), photos, mask, out) == everything
    add_photos(path, [tmp_path / "more"], workers=1)
    grown = RetrievalCompleter(PhotoIndex.open(path), SETTINGS)
    assert redone(grown, photos, mask, out) == everything
    assert redone(grown, photos, mask, out) == set()


def test_candidates_are_made_where_an_earlier_run_left_them_out(completer, photos, mask, tmp_path):
    out = tmp_path / "out"
    run(completer, photos, mask, out)
    assert len(redone(completer, photos, mask, out, candidate_fills=True)) == 7
    assert sorted(path.name for path in (out / "sub" / "5.candidates").iterdir()) == ["01.png", "02.png", "03.png"]
    assert redone(completer, photos, mask, out, candidate_fills=True) == set()
    assert redone(completer, photos, mask, out) == set()
    (out / "sub" / "5.candidates" / "02.png").unlink()
    assert redone(completer, photos, mask, out, candidate_fills=True) == {"5"}


def test_a_bad_photo_or_mask_spares_the_others(completer, photos, mask, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    for i in range(7):
        shutil.copy(mask, masks / f"{i}.png")
    (photos / "0.png").write_bytes(b"")
    (photos / "1.jpg").write_bytes((photos / "1.jpg").read_bytes()[:400])
    Image.new("L", (100, 80), 255).save(masks / "2.png")
    Image.new("L", (99, 80), 0).save(masks / "3.png")
    (masks / "4.png").write_bytes(b"no image")
    Image.new("RGB", (100, 5)).save(photos / "sub" / "5.jpg")
    outcomes = run(completer, photos, masks, tmp_path / "out")
    written, skipped, failed = finished(outcomes)
    assert (written, skipped) == (1, 0)
    assert [o.photo.stem for o in failed] == ["0", "1", "2", "3", "4", "5"]
    assert [type(o.error) for o in failed] == [PhotoError, PhotoError, MaskError, MaskError, MaskError, MaskError]
    for outcome in failed:
        assert "\n" not in outcome.reason and str(outcome.photo) in outcome.reason and outcome.written is None
        assert outcome.as_json() == {
            "photo": str(outcome.photo),
            "written": None,
            "done_before": False,
            "error": outcome.reason,
            "hint": None,
        }
    assert sorted(contents(tmp_path / "out")) == ["sub/6.json", "sub/6.png"]


def test_a_second_run_elsewhere_is_identical_whatever_the_workers_and_batches(
    completer, photos, mask, tmp_path, monkeypatch
):
    run(completer, photos, mask, tmp_path / "a", candidate_fills=True)
    monkeypatch.setattr(folder_module, "BATCH_PHOTOS", 2)
    other = RetrievalCompleter(PhotoIndex.open(completer.index.path), SETTINGS, workers=3)
    run(other, photos, mask, tmp_path / "b", candidate_fills=True)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    monkeypatch.setattr(folder_module, "BATCH_PIXELS", 1)
    run(RetrievalCompleter(completer.index, SETTINGS, workers=1), photos, mask, tmp_path / "c", candidate_fills=True)
    assert contents(tmp_path / "a") == contents(tmp_path / "c")


def test_batches_are_bounded_in_photos_and_pixels(completer, photos, mask, tmp_path, monkeypatch):
    sizes = []
    small = RetrievalCompleter(completer.index, SETTINGS, workers=2)
    complete_many = small.complete_many
    monkeypatch.setattr(small, "complete_many", lambda p, h, **o: sizes.append(len(p)) or complete_many(p, h, **o))
    monkeypatch.setattr(folder_module, "BATCH_PHOTOS", 4)
    run(small, photos, mask, tmp_path / "a")
    monkeypatch.setattr(folder_module, "BATCH_PIXELS", 80 * 100)
    run(small, photos, mask, tmp_path / "b")
    assert sizes == [4, 3, 2, 2, 2, 1]


def test_an_unwritable_folder_stops_the_run_at_once(completer, photos, mask, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("kept")
    monkeypatch.setattr(completer, "complete_many", lambda *a, **o: pytest.fail("work was done first"))
    with pytest.raises(StorageError, match="file"):
        run(completer, photos, mask, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"


QUICK = RetrievalSettings(k=3, rerank="none", fill="paste")
# Imports once; for each line that comes in, a process of its own completes the folder and says its id and what it wrote.
SCRIPT = """
import os, sys
from ce_retrieval.completion import folders, plan
from ce_retrieval import PhotoIndex, RetrievalCompleter, RetrievalSettings
import ce_retrieval.completion.overlay
folders.BATCH_PHOTOS = 1
index, photos, mask, out = sys.argv[1:]
while sys.stdin.readline():
    process = os.fork()
    if not process:
        print(os.getpid(), flush=True)
        settings = RetrievalSettings(k=3, rerank="none", fill="paste")
        completer = RetrievalCompleter(PhotoIndex.open(index), settings, workers=1)
        jobs = plan.plan_jobs(photos, mask, out)
        for outcome in folders.complete_folder(completer, jobs, out, candidate_fills=True):
            print(outcome.written, flush=True)
        os._exit(0)
    os.waitpid(process, 0)
"""


def test_a_killed_run_is_finished_by_the_next(completer, photos, mask, tmp_path):
    for i in range(10, 40):
        suffix = "jpg" if i % 5 % 2 else "png"
        shutil.copy(photos / f"{i % 5}.{suffix}", photos / f"{i}.{suffix}")
    quick = RetrievalCompleter(completer.index, QUICK)
    run(quick, photos, mask, tmp_path / "whole", candidate_fills=True)
    out = tmp_path / "out"
    rng = np.random.default_rng(0)
    command = [sys.executable, "-c", SCRIPT, *map(str, (completer.index.path, photos, mask, out))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as runs:
        assert runs.stdin is not None and runs.stdout is not None
        for _ in range(3):
            runs.stdin.write("go\n")
            runs.stdin.flush()
            reported = []
            while not (line := runs.stdout.readline().strip()).isdigit():
                assert line, "the script has ended"
                reported.append(Path(line))  # by the process before, in the moment before it was killed
            process = int(line)
            reported += [Path(runs.stdout.readline().strip()) for _ in range(4)]
            time.sleep(rng.uniform(0, 0.03))
            os.kill(process, signal.SIGKILL)
            # What was reported is there, whole; what has its final name is a whole picture.
            assert all(path.is_file() and path.with_suffix(".json").is_file() for path in reported)
            for picture in (path for path in out.rglob("*.png") if not path.name.startswith(".")):
                load_photo(picture)
        runs.stdin.close()
    assert 1 <= finished(run(quick, photos, mask, out, candidate_fills=True))[1] <= 36
    kept = {name: data for name, data in contents(out).items() if not name.rpartition("/")[2].startswith(".")}
    assert kept == contents(tmp_path / "whole")


def test_a_name_of_any_length_stops_no_other_photo(completer, photos, mask, tmp_path):
    data, out = (photos / "0.png").read_bytes(), tmp_path / "out"
    for name in ("é" * 122 + "n.png", "n" * 246 + ".png", "n" * 251 + ".png"):  # 249, 250 and 255 bytes
        (photos / name).write_bytes(data)
    outcomes = run(completer, photos, mask, out, candidate_fills=True)
    (failed,) = finished(outcomes)[2]
    assert failed.photo.name == "n" * 251 + ".png" and "too long a name: shorten it" in failed.reason
    assert finished(outcomes)[:2] == (9, 0)
    assert not (out / ("n" * 251 + ".png")).exists(), "nothing without its record"
    assert {len(os.fsencode(path.name)) for path in out.glob("*.candidates")} == {1 + len(".candidates"), 254, 255}
    assert finished(run(completer, photos, mask, out, candidate_fills=True))[:2] == (0, 9)


def test_a_folder_that_cannot_be_listed_and_unread_images_are_named(completer, photos, mask, tmp_path, unlistable):
    (photos / "art.psd").touch()
    unlistable("sub")
    plan = plan_jobs(photos, mask, tmp_path / "out")
    assert dict(plan.notes)[f"{photos}/sub/"] == "the folder cannot be listed: permission denied"
    assert dict(plan.notes)[str(photos)].startswith("1 file with suffix .psd was not looked at")
    assert finished(list(complete_folder(completer, plan, tmp_path / "out")))[:2] == (5, 0)
