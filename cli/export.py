"""`ceret export`: write an index for other programs."""

from pathlib import Path

import click

from ce_retrieval.errors import counted
from ce_retrieval.photo_index import export_index
from ce_retrieval.photo_index.export import FORMATS
from cli.options import PATH, json_option, option
from cli.output import print_result, progress_bar


@click.command()
@click.argument("index_path", metavar="NAME.ceret", type=PATH)
@click.argument("out", metavar="OUT", type=PATH)
@option("--to", type=click.Choice([*FORMATS]), required=True, help="What OUT holds, beside about.json.")
@json_option
def command(index_path: Path, out: Path, to: str, as_json: bool) -> None:
    """Write the photos of an index into a new folder OUT, for programs that do not know ceret.

    faiss: vectors.faiss, read by faiss.read_index, and photos.parquet; parquet: photos.parquet with the features in it;
    lance: photos.lance, the same as a Lance data set. OUT/about.json says what the vectors are and how to search them.
    """
    with progress_bar("exporting") as progress:
        done = export_index(index_path, out, to, progress=progress)
    text = f"{out}: {counted(done.photos, 'photo')} in {', '.join(done.files)}, {done.bytes:,} bytes"
    print_result(text, {"index": index_path, "out": out, "to": to, "photos": done.photos, "files": done.files}, as_json)
