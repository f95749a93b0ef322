"""SIGKILL at steps that touch the disk, and at random moments: the next run ends as if nothing had happened.

`make test-slow` kills at every step.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ce_retrieval.errors import PhotoIndexError
from ce_retrieval.photo_index import PhotoIndex, add_photos, build_index, read_manifest, resume, verify_index

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}


@pytest.fixture(params=[5, pytest.param(1, marks=pytest.mark.slow)], ids=["some steps", "every step"])
def work_folder(request, tmp_path, monkeypatch):
    """A folder in memory where there is one: hundreds of builds wait for no disk. Each fifth step, or each, is one to kill at."""
    monkeypatch.setitem(ENVIRONMENT, "CERET_KILL_EVERY", str(request.param))
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def drive(what, photos, more, folder):
    driver = Path(__file__).with_name("kill_driver.py")
    command = [sys.executable, str(driver), what, str(photos), str(more), str(folder)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def kill_everywhere(what, photos, more, folder, ended="done", steps=40):
    lines = drive(what, photos, more, folder)
    assert len(lines) > steps // int(ENVIRONMENT["CERET_KILL_EVERY"]), "hardly any step was met"
    assert [line["ended"] for line in lines[:-1]] == ["killed"] * (len(lines) - 1)
    assert lines[-1]["ended"] == ended or lines[-1]["ended"].startswith(f"{ended}: ")
    return lines


def test_a_build_killed_at_any_step_is_finished_by_the_next_run_to_the_same_bytes(tmp_path, work_folder, helpers):
    photos = helpers.write_photos(tmp_path / "photos", range(10))
    lines = kill_everywhere("build", photos, photos, work_folder)
    whole = lines[-1]["files"]
    assert len(whole) == 7 and not any(name.endswith(".tmp") for name in whole)
    segments = []
    for line in lines:
        later = json.loads(line["later"])
        assert later["after"] == "2 whole segments"
        assert line["files"] == whole, f"killed at step {line['moment']}"
        segments.append(
            0 if later["between"] == "no manifest" else int(later["between"].removesuffix(" whole segments"))
        )
    assert segments == sorted(segments), "a later kill lost more"
    assert set(segments) == {0, 1, 2}


def test_an_addition_killed_at_any_step_keeps_what_was_and_is_finished_by_the_next_run(tmp_path, work_folder, helpers):
    photos = helpers.write_photos(tmp_path / "photos", range(4))
    more = helpers.write_photos(tmp_path / "more", range(50, 59))
    lines = kill_everywhere("add", photos, more, work_folder)
    for line in lines:
        later = json.loads(line["later"])
        assert later["between"] in ("1 whole segments", "2 whole segments", "3 whole segments")
        assert later["after"] == "3 whole segments"
        assert line["files"] == lines[-1]["files"], f"killed at step {line['moment']}"


def test_an_update_killed_at_any_step_is_finished_by_the_next_run_to_the_same_bytes(tmp_path, work_folder, helpers):
    photos = helpers.write_photos(tmp_path / "photos", range(5))
    (photos / "bad.png").write_bytes(b"no photo")
    lines = kill_everywhere("update", photos, photos, work_folder)
    for line in lines:
        later = json.loads(line["later"])
        assert later["between"] in ("1 whole segments", "2 whole segments") and later["after"] == "2 whole segments"
        assert line["files"] == lines[-1]["files"], f"killed at step {line['moment']}"


def test_kind_features_killed_at_any_step_are_there_whole_or_not_at_all(tmp_path, work_folder, helpers):
    photos = helpers.write_photos(tmp_path / "photos", range(10))
    lines = kill_everywhere("kind", photos, photos, work_folder, steps=20)
    assert sum("kind-" in name for name in lines[-1]["files"]) == 2
    for line in lines:
        assert json.loads(line["later"]) == {"between": "2 whole segments", "after": "2 whole segments"}
        assert line["files"] == lines[-1]["files"], f"killed at step {line['moment']}"


def test_local_features_killed_at_any_step_are_there_whole_or_not_at_all(tmp_path, work_folder, helpers):
    photos = helpers.write_photos(tmp_path / "photos", range(10))
    lines = kill_everywhere("places", photos, photos, work_folder, steps=20)
    assert sum("places-" in name for name in lines[-1]["files"]) == 2
    for line in lines:
        assert json.loads(line["later"]) == {"between": "2 whole segments", "after": "2 whole segments"}
        assert line["files"] == lines[-1]["files"], f"killed at step {line['moment']}"


def test_a_relocation_killed_at_any_step_is_made_or_not(tmp_path, work_folder, helpers):
    photos = helpers.write_photos(tmp_path / "photos", range(4))
    lines = kill_everywhere("relocate", photos, tmp_path / "moved", work_folder, steps=10)
    for line in lines:
        assert json.loads(line["later"]) == {"between": "1 whole segments", "after": "1 whole segments"}
        assert line["files"] == lines[-1]["files"], f"killed at step {line['moment']}"


def test_a_removal_killed_at_any_step_is_made_or_not(tmp_path, work_folder, helpers):
    photos = helpers.write_photos(tmp_path / "photos", range(10))
    lines = kill_everywhere("remove", photos, photos, work_folder, steps=10)
    for line in lines:
        assert json.loads(line["later"]) == {"between": "2 whole segments", "after": "2 whole segments"}
        assert line["files"] == lines[-1]["files"], f"killed at step {line['moment']}"


@pytest.mark.slow
def test_a_compaction_killed_at_any_step_is_made_or_not_and_finished_by_the_next_run(tmp_path, work_folder, helpers):
    photos = helpers.write_photos(tmp_path / "photos", range(20))
    lines = kill_everywhere("compact", photos, photos, work_folder)
    assert len({name.split("/")[1] for name in lines[-1]["files"] if name.startswith("segments/")}) == 2
    found = set()
    for line in lines:
        later = json.loads(line["later"])
        found.add(later["between"])
        assert later["after"] == "2 whole segments"
        assert line["files"] == lines[-1]["files"], f"killed at step {line['moment']}"
    assert found == {"3 whole segments", "2 whole segments"}, "it is made in one step"


def test_a_merge_killed_at_any_step_is_there_whole_or_not_at_all(tmp_path, work_folder, helpers):
    photos = helpers.write_photos(tmp_path / "photos", range(10))
    more = helpers.write_photos(tmp_path / "more", range(50, 54))
    lines = kill_everywhere("merge", photos, more, work_folder, steps=20)
    found = []
    for line in lines:
        later = json.loads(line["later"])
        found.append(later["between"])
        assert later["after"] == "3 whole segments"
        assert line["files"] == lines[-1]["files"] != {}, f"killed at step {line['moment']}"
    assert set(found) == {"no manifest", "3 whole segments"} and found == sorted(found, reverse=True)
    assert not list(work_folder.glob(".*")), "the next merge deletes what a killed one left"


def test_an_addition_without_duplicates_killed_at_any_step_is_finished_by_the_next_run(tmp_path, work_folder, helpers):
    photos = helpers.write_photos(tmp_path / "photos", range(6))
    more = helpers.write_photos(tmp_path / "more", range(50, 56))
    for copy in (photos / "odd" / "a.png", photos / "odd" / "b.png", more / "odd" / "c.png"):
        copy.write_bytes(helpers.encoded(0))
    (more / "odd" / "d.png").write_bytes(helpers.encoded(50))
    lines = kill_everywhere("duplicates", photos, more, work_folder)
    for line in lines:
        assert json.loads(line["later"])["after"] == "3 whole segments"
        assert line["files"] == lines[-1]["files"], f"killed at step {line['moment']}"
    segments = read_manifest(work_folder / "index.ceret").segments
    assert [(len(one.removed), one.count) for one in segments] == [(1, 6), (0, 7), (0, 0)]
    assert sorted(one.key for segment in segments for one in segment.repeats) == ["odd/b.png", "odd/c.png", "odd/d.png"]


def test_a_build_of_nothing_readable_killed_at_any_step_leaves_no_index_in_the_end(tmp_path, work_folder):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        (photos / f"{number}.jpg").write_bytes(b"no photo")
    for line in kill_everywhere("build", photos, photos, work_folder, ended="SourceError"):
        assert "could be read" in json.loads(line["later"])["error"]
        assert not line["exists"], f"killed at step {line['moment']}"


def test_a_command_killed_at_random_moments_gets_there_and_ends_with_the_same_bytes(
    tmp_path, work_folder, small_segments, helpers, fake_kind
):
    photos = helpers.write_photos(tmp_path / "photos", range(240))
    (photos / "bad.jpg").write_bytes(b"no photo")
    lines = drive("command", photos, photos, work_folder)
    assert len(lines) == 6
    for line in lines:
        assert line["left"] == f"{line['segments']} whole segments"
    segments = [line["segments"] for line in lines]
    assert segments == sorted(segments), "a later run lost segments"
    expected, index = work_folder / "first.ceret", work_folder / "index.ceret"
    settings = dataclasses.replace(helpers.SETTINGS, kind="kind")
    assert build_index([photos], index, settings).present == 8 * segments[-1] - 1  # bad.jpg
    assert helpers.contents(index) == helpers.contents(expected)
    assert verify_index(index).problems == ()


def interrupted_build(photos, out, settings, after):
    """Stop a build by an error after so many items are done, as a kill would."""

    def stop(done, total):
        if done >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index([photos], out, settings, stop)


def test_a_stopped_build_is_not_opened_but_says_how_to_go_on(photos, tmp_path, small_segments, helpers):
    out = tmp_path / "out.ceret"
    interrupted_build(photos, out, helpers.SETTINGS, after=20)
    with pytest.raises(PhotoIndexError, match="stopped after 16 photos: run the same `ceret index`"):
        PhotoIndex.open(out)
    with pytest.raises(PhotoIndexError, match="was stopped"):
        add_photos(out, [photos])
    assert "was stopped after 16 photos" in verify_index(out).problems[0]
    report = build_index([photos], out, helpers.SETTINGS)
    assert (report.count, report.added, report.present) == (30, 14, 16)


def test_a_stopped_build_whose_photos_changed_goes_on_and_names_them(photos, tmp_path, small_segments, helpers):
    out = tmp_path / "out.ceret"
    interrupted_build(photos, out, helpers.SETTINGS, after=20)
    (photos / "even" / "0002.png").unlink()
    (photos / "even" / "0004.png").write_bytes(helpers.encoded(99))
    helpers.write_photos(photos, [1], prefix="a")  # before all that is done already
    report = build_index([photos], out, helpers.SETTINGS)
    assert (report.count, report.added, report.present) == (30, 15, 14)
    assert report.changed == (str(photos / "even" / "0004.png"),)
    assert report.vanished == (str(photos / "even" / "0002.png"),)
    opened = PhotoIndex.open(out)
    assert {opened.name_of(record) for record in opened.records(range(30))} == set(map(str, photos.rglob("*.png")))
    assert verify_index(out, photos=True).problems == ()


def test_a_build_begun_with_other_libraries_is_not_mixed(photos, tmp_path, small_segments, helpers, monkeypatch):
    out = tmp_path / "out.ceret"
    interrupted_build(photos, out, helpers.SETTINGS, after=20)
    versions = resume.library_versions()
    monkeypatch.setattr(resume, "library_versions", lambda names=(): {**versions, "pillow": "1.0"})
    with pytest.raises(PhotoIndexError, match="other versions of pillow"):
        build_index([photos], out, helpers.SETTINGS)
