"""`ceret publish`: an index in a Milvus."""

from dataclasses import asdict
from pathlib import Path

import click

from ce_retrieval.errors import counted
from cli.options import PATH, json_option, option
from cli.output import print_result, progress_bar


@click.command()
@click.argument("index_path", metavar="NAME.ceret", type=PATH)
@option(
    "--store",
    metavar="http://HOST:PORT|milvus:FOLDER.db",
    required=True,
    help="A Milvus, or a folder of milvus-lite, which is made if it is not there.",
)
@json_option
def command(index_path: Path, store: str, as_json: bool) -> None:
    """Write the vectors of an index, and its photos' columns, to a Milvus, which `ceret query --store` then searches.

    The name of the collection comes from the content of the index; it appears when it is whole. Publish the
    index again after it has changed.
    """
    from ce_retrieval.photo_index import PhotoIndex, publish_index

    index = PhotoIndex.open(index_path)
    with progress_bar("publishing") as progress:
        published = publish_index(index, store, progress)
    done = " (there before)" if published.present else ""
    kept = f"; {counted(published.others, 'other collection')} of ceret there" if published.others else ""
    text = f"{published.collection}: {counted(published.photos, 'photo')}{done}{kept}"
    print_result(text, {"index": str(index_path), **asdict(published)}, as_json)
