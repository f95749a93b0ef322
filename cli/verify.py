"""`ceret verify`: check an index, and its photos."""

import os
from pathlib import Path

import click

from ce_retrieval.errors import counted
from ce_retrieval.photo_index import verify_index
from cli.options import PATH, json_option, option, workers_option
from cli.output import print_json, progress_bar, say


@click.command()
@click.argument("index_path", metavar="NAME.ceret", type=PATH)
@option("--photos", is_flag=True, help="Also read every photo and compare it with the hash of when it was indexed.")
@workers_option(os.cpu_count() or 1, "Threads for --photos.")
@json_option
def command(index_path: Path, photos: bool, workers: int, as_json: bool) -> None:
    """Check every file of an index against the manifest.

    The exit code is 1 if a file is missing, truncated or altered, or with --photos if a photo has changed or vanished.
    """
    with progress_bar("checking") as progress:
        found = verify_index(index_path, photos=photos, workers=workers, progress=progress)
    if as_json:
        print_json({"files": found.files, "photos": found.photos, "problems": list(found.problems)})
    else:
        for problem in found.problems:
            say(problem)
        checked = counted(found.files, "file") + (
            f" and {counted(found.photos, 'photo')}" if found.photos is not None else ""
        )
        say(f"{index_path}: {checked} checked, {counted(len(found.problems), 'problem')}")
    if found.problems:
        raise SystemExit(1)
