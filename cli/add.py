"""`ceret add`."""

from pathlib import Path

import click

from ce_retrieval.photo_index import IndexSettings, add_photos
from cli.options import PATH, json_option, work_options
from cli.output import print_built, progress_bar, warn_skipped

DEFAULTS = IndexSettings()


@click.command()
@click.argument("index_path", metavar="NAME.ceret", type=PATH)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", type=PATH)
@work_options(DEFAULTS)
@json_option
def command(index_path: Path, sources: tuple[Path, ...], workers: int, max_memory: int, as_json: bool) -> None:
    """Add the photos of SOURCES to an index.

    Photos that the index already has (by source and name) are passed over, so the same command brings an index up to date
    with a folder that has grown. Programs that have the index open keep what they opened.
    """
    with progress_bar("adding") as progress:
        report = add_photos(index_path, sources, workers=workers, max_memory=max_memory, progress=progress)
    warn_skipped(report.skipped)
    text = (
        f"{index_path}: {report.added} photos added, {report.present} were there already, {report.count} in all; "
        f"{len(report.skipped)} files skipped"
    )
    print_built(text, index_path, report, as_json)
