"""`ceret merge`: make one index of several."""

from pathlib import Path

import click

from ce_retrieval.errors import counted
from ce_retrieval.photo_index import merge_indexes
from cli.options import PATH, json_option
from cli.output import print_result, progress_bar, warn_passed_over


@click.command()
@click.argument("out", metavar="OUT.ceret", type=PATH)
@click.argument("paths", metavar="NAME.ceret...", nargs=-1, required=True, type=PATH)
@json_option
def command(out: Path, paths: tuple[Path, ...], as_json: bool) -> None:
    """Make at OUT.ceret one index of the photos of several, which must have the same features, size and hole protocol.

    They are not changed, and programs may have them open. OUT.ceret shares their files where the file system allows.
    """
    with progress_bar("merging") as progress:
        done = merge_indexes(out, paths, progress=progress)
    warn_passed_over(done.notes)
    text = f"{out}: {counted(done.photos, 'photo')} of {len(paths)} indexes"
    text += f", {done.repeated} in several of them" if done.repeated else ""
    text += f", {done.kept_out} kept out" if done.kept_out else ""
    text += f"; {counted(done.linked, 'file')} shared, {done.copied} copied"
    counts = {"photos": done.photos, "repeated": done.repeated, "kept_out": done.kept_out}
    files = {"linked": done.linked, "copied": done.copied, "notes": done.notes}
    print_result(text, {"index": out, "merged": paths, **counts, **files}, as_json)
