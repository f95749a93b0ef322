"""What `index`, `add`, `info`, `verify` and `relocate` print of photos that come, change, go and move; Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from interrupts import heed_interrupts

from cli.main import main

ROOT = Path(__file__).resolve().parents[3]
CONVERT = "convert them to JPEG or PNG"
BUILD = ["--features", "thumbnail:8", "--size", "32", "--kind", "none"]


def ceret(*arguments, code=0):
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), "a traceback"
    return done


def test_a_folder_given_by_a_shell_pattern_with_all_kinds_of_things_in_it(photos, tmp_path, small_segments, helpers):
    for number in range(3):
        (photos / f"{number}.png").write_bytes(helpers.encoded(60 + number))
        (photos / f"{number}.txt").write_text("a caption")
    (photos / "art.psd").touch()
    (photos / "odd" / "anim.gif").touch()
    (photos / "empty").mkdir()
    out = tmp_path / "out.ceret"
    done = ceret("index", *sorted(photos.iterdir()), "--out", out, *BUILD)
    assert done.stdout == f"{out}: 33 photos; 0 files skipped; no kind features\n"
    lines = done.stderr.splitlines()
    assert lines[0] == "4 paths passed over:" and lines[1].startswith(f"  {photos}/0.txt: not a")
    assert lines[5:] == [
        f"note: {photos}: 1 file with suffix .psd was not looked at: {CONVERT}",
        f"note: {photos}/odd: 1 file with suffix .gif was not looked at: {CONVERT}",
    ]
    about = json.loads(ceret("info", out, "--json", "--skipped").stdout)
    sources = [f"{photos} (files)", f"{photos}/even (folder)", f"{photos}/odd (folder)"]
    assert (about["photos"], about["removed"], about["skipped"], about["sources"]) == (33, 0, 0, sources)
    told = ceret("info", out, "--skipped").stdout
    assert f"\n{photos}/**/*.psd: 1 file with suffix .psd was not looked at: {CONVERT}\n" in told
    assert f"\n{photos}/odd/**/*.gif: 1 file with suffix .gif was not looked at: {CONVERT}\n" in told
    assert "0 photos added, 33 were there already" in ceret("add", out, *sorted(photos.iterdir())).stdout
    (photos / "odd" / "anim.gif").unlink()
    ceret("add", out)
    assert "anim" not in ceret("info", out, "--skipped").stdout and ".gif" not in ceret("info", out, "--skipped").stdout


def test_add_says_what_has_changed_and_vanished_and_cuts_the_lists(photos, tmp_path, small_segments, helpers):
    out = tmp_path / "out.ceret"
    ceret("index", photos, "--out", out, *BUILD)
    for path in sorted(photos.glob("*/*.png"))[:25]:
        path.unlink()
    (photos / "odd" / "0029.png").write_bytes(helpers.encoded(70))
    error = ceret("index", photos, "--out", out, *BUILD, code=1).stderr
    assert error.count("\n") == 1 and len(error) < 700 and " and 22 more), bring" not in error
    assert "1 changed (" in error and "25 vanished (" in error and f"`ceret add {out} SOURCE...`" in error
    done = ceret("add", out, photos)
    assert "0 photos added, 4 were there already, 1 had changed, 25 have vanished, 5 in all" in done.stdout
    lines = done.stderr.splitlines()
    assert lines[:2] == ["1 photo changed since indexed, described anew:", f"  {photos}/odd/0029.png"]
    assert lines[2] == "25 photos vanished since indexed, removed:" and lines[-1] == "  and 5 more"
    assert "removed         26\n" in ceret("info", out).stdout
    assert ceret("verify", out, "--photos").stdout == f"{out}: 10 files and 5 photos checked, 0 problems\n"
    report = json.loads(ceret("add", out, "--json").stdout)
    assert (report["photos"], report["present"], report["changed"], report["vanished"]) == (5, 5, [], [])


def test_verify_of_photos_and_relocate(index, photos):
    new = photos.with_name("moved")
    photos.rename(new)
    done = ceret("verify", index, "--photos", code=1)
    assert done.stdout.count(f"run `ceret relocate {index} {photos} NEW`") == 30
    error = ceret("relocate", index, new, photos, code=1).stderr
    assert error.startswith("Error: ") and "does not exist" in error
    assert ceret("relocate", index, photos, new).stdout == f"{index}: 1 source now at {new}, 30 photos compared\n"
    (new / "odd" / "0001.png").unlink()
    new.rename(photos)
    done = ceret("relocate", index, new, photos, "--json")
    about = json.loads(done.stdout)
    assert about["sources"] == [[str(new), str(photos)]] and about["compared"] == 30 and len(about["problems"]) == 1
    assert done.stderr.startswith("1 photo missing or changed at the new place; run `ceret add` on the index:\n")
    found = json.loads(ceret("verify", index, "--photos", "--json", code=1).stdout)
    assert (found["files"], found["photos"], len(found["problems"])) == (8, 30, 1)


def test_the_error_of_other_sources_does_not_list_them_all(tmp_path, small_segments, helpers):
    for number in range(60):
        helpers.write_photos(tmp_path / f"{number:03d}", [number])
    out = tmp_path / "out.ceret"
    ceret("index", *sorted(tmp_path.glob("0*")), "--out", out, *BUILD)
    other = helpers.write_photos(tmp_path / "other", [99])
    error = ceret("index", other, "--out", out, *BUILD, code=1).stderr
    assert len(error) < 1000 and " and 57 more: give the same sources" in error


SLOW = """
import os, time
from ce_retrieval import photos
from ce_retrieval.photo_index import decode_budget

def decode(*arguments, **options):
    os.write(1, b"decoding\\n")
    time.sleep(20)  # as a very large photo would take in a library's code

photos.decode_photo = decode_budget.decode_photo = decode
from ce_retrieval.installation import main
main()
"""


@pytest.mark.parametrize("command", ["index", "pack", "add"])
def test_ctrl_c_ends_a_command_within_two_seconds_and_leaves_nothing_half_written(
    index, photos, tmp_path, helpers, command
):
    out = tmp_path / "out"
    more = helpers.write_photos(tmp_path / "more", range(50, 90))
    arguments = {
        "index": ["index", more, "--out", out, *BUILD],
        "pack": ["pack", more, "--out", f"{out}.h5", "--size", "32"],
        "add": ["add", index, more],
    }[command]
    before = helpers.contents(index)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    given = [sys.executable, "-c", SLOW, *map(str, arguments), "--workers", "4"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(given, **pipes, env=environment, preexec_fn=heed_interrupts) as process:
        first = process.stdout.readline()
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
        took = time.monotonic() - begun
    assert first == "decoding\n" and took < 2
    assert process.returncode == 1 and told.strip() == "Aborted!"
    assert helpers.contents(index) == before
    places = (out, *out.rglob("*"), tmp_path / "out.h5")
    left = {str(path.relative_to(tmp_path)) for path in places if path.exists()}
    assert left == ({"out", "out/lock", "out/manifest.json"} if command == "index" else set())
    assert not list(tmp_path.glob(".*"))


def test_duplicates_are_named_and_counted(photos, tmp_path, small_segments, helpers):
    out = tmp_path / "out.ceret"
    (photos / "zebra.png").write_bytes(helpers.encoded(3))
    done = ceret("index", photos, "--out", out, *BUILD, "--skip-duplicates")
    assert done.stdout == f"{out}: 30 photos; 0 files skipped; 1 duplicate left out; no kind features\n"
    first = f"{photos}/odd/0003.png"
    assert done.stderr == f"1 photo left out, with the bytes of another:\n  {photos}/zebra.png: {first}\n"
    again = ceret("index", photos, "--out", out, *BUILD, "--skip-duplicates")
    assert "30 of them from an earlier run" in again.stdout and again.stderr == ""
    about = json.loads(ceret("info", out, "--json", "--skipped").stdout)
    assert (about["photos"], about["skip_duplicates"], about["duplicates"]) == (30, True, 1)
    assert about["skipped_files"] == [[f"{photos}/zebra.png", "left out, with the bytes of another photo"]]
    (photos / "yak.png").write_bytes(helpers.encoded(5))
    about = json.loads(ceret("add", out, "--json", photos).stdout)
    assert about["duplicate_files"] == [[f"{photos}/yak.png", f"{photos}/odd/0005.png"]]
    assert (about["added"], about["duplicates"]) == (0, 1)
    assert "2 photos added, 30 were there already" in ceret("add", out, "--no-skip-duplicates").stdout
