"""`ceret compact`: rewrite an index without its removed photos."""

from pathlib import Path

import click

from ce_retrieval.errors import counted
from ce_retrieval.photo_index import compact_index
from cli.options import PATH, json_option
from cli.output import note, print_result, progress_bar


@click.command()
@click.argument("index_path", metavar="NAME.ceret", type=PATH)
@json_option
def command(index_path: Path, as_json: bool) -> None:
    """Free the space of removed photos, and join small parts of an index that additions left.

    Searches find the same photos as before. Programs that have the index open keep what they opened.
    """
    with progress_bar("writing") as progress:
        done = compact_index(index_path, progress=progress)
    before, after = done.segments
    text = f"{index_path}: {counted(done.photos, 'photo')} in {counted(after, 'segment')} (before: {before}), "
    text += f"{counted(done.dropped, 'removed photo')} dropped, {done.freed:,} bytes freed"
    about = {"index": index_path, "photos": done.photos, "dropped": done.dropped, "segments": [before, after]}
    print_result(text, {**about, "freed": done.freed, "deleted": done.deleted}, as_json)
    if not done.deleted:
        note(f"note: {index_path}: a program has it open: the next command that writes to it deletes the old files")
