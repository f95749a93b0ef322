"""`ceret relocate`: tell an index where its photos are now."""

from pathlib import Path

import click

from ce_retrieval.errors import counted
from ce_retrieval.photo_index import relocate_index
from cli.options import PATH, json_option
from cli.output import list_cut, print_result


@click.command()
@click.argument("index_path", metavar="NAME.ceret", type=PATH)
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
@json_option
def command(index_path: Path, old: Path, new: Path, as_json: bool) -> None:
    """Replace the place OLD of an index's photos by NEW.

    OLD is a source as `ceret info` shows it, or a folder above sources. Some photos of each source are compared with the
    index first; if most of them are missing at NEW or differ, nothing is changed.
    """
    done = relocate_index(index_path, old, new)
    list_cut(done.problems, "{} photo{} missing or changed at the new place; run `ceret add` on the index")
    text = (
        f"{index_path}: {counted(len(done.sources), 'source')} now at {new}, {counted(done.checked, 'photo')} compared"
    )
    about = {"index": index_path, "sources": done.sources, "compared": done.checked, "problems": done.problems}
    print_result(text, about, as_json)
