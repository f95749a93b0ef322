"""`ceret add`: bring an index up to date."""

from pathlib import Path

import click

from ce_retrieval.errors import counted
from ce_retrieval.photo_index import IndexSettings, add_photos
from cli.options import PATH, json_option, kind_option, places_option, skip_duplicates_option, work_options
from cli.output import print_built, progress_bar, told_duplicates, warn_built

DEFAULTS = IndexSettings()


@click.command()
@click.argument("index_path", metavar="NAME.ceret", type=PATH)
@click.argument("sources", nargs=-1, metavar="[SOURCE...]", type=PATH)
@kind_option(
    None,
    "Give the index other kind features, or none; its photos are read again. Default: new photos get the kind features that "
    "the index has.",
)
@places_option(
    "--places/--no-places",
    None,
    "Give the index local features, or none; its photos are read again. Default: as the index is.",
)
@skip_duplicates_option(
    "--skip-duplicates/--no-skip-duplicates",
    None,
    "Leave out photos whose file has the same bytes as one of the index, now and later; or take them all. Default: as the "
    "index is.",
)
@work_options(DEFAULTS)
@json_option
def command(
    index_path: Path,
    sources: tuple[Path, ...],
    kind: str | None,
    places: bool | None,
    skip_duplicates: bool | None,
    workers: int,
    max_memory: int,
    as_json: bool,
) -> None:
    """Bring an index up to date with SOURCES, or with its own sources if none are given.

    Photos that it does not have are added, those that have changed are described anew, those that could not be read are
    tried again, and those that have vanished are removed. What `ceret remove` removed stays out. Programs that have the index
    open keep what they opened.
    """
    work = {"workers": workers, "max_memory": max_memory}
    with progress_bar("adding") as progress:
        report = add_photos(
            index_path, sources, kind=kind, places=places, skip_duplicates=skip_duplicates, **work, progress=progress
        )
    warn_built(report)
    parts = [f"{counted(report.added, 'photo')} added"]
    parts += [f"{report.present} {'was' if report.present == 1 else 'were'} there already"]
    parts += [f"{len(report.changed)} had changed"] if report.changed else []
    parts += (
        [f"{len(report.vanished)} {'has' if len(report.vanished) == 1 else 'have'} vanished"] if report.vanished else []
    )
    parts += [f"{report.kept_out} {'stays' if report.kept_out == 1 else 'stay'} removed"] if report.kept_out else []
    text = f"{index_path}: {', '.join(parts)}, {report.count} in all; {counted(len(report.skipped), 'file')} skipped"
    text += told_duplicates(report)
    text += f"; kind features by {report.kind}" if kind and report.kind else ""
    print_built(text, index_path, report, as_json)
