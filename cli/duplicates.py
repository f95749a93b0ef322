"""`ceret duplicates`: the photos that an index has more than once."""

from pathlib import Path

import click

from ce_retrieval.errors import counted
from cli.options import PATH, device_option, json_option, option, workers_option
from cli.output import list_cut, print_json, progress_bar, say


@click.command()
@click.argument("index_path", metavar="NAME.ceret", type=PATH)
@option("--exact", is_flag=True, help="Only files with the same bytes; no photo is read.")
@device_option
@workers_option(None, "Threads that decode.", show_default="all cores")
@json_option
def command(index_path: Path, exact: bool, device: str, workers: int | None, as_json: bool) -> None:
    """List the photos that an index has more than once: files with the same bytes, and near-duplicates.

    Each line has the number of the group, "first" (the photo of most pixels), "exact" (the same bytes as an earlier one) or
    "near", and the photo.
    """
    from ce_retrieval.photo_index import PhotoIndex
    from ce_retrieval.retrieval.duplicates import find_duplicates

    index = PhotoIndex.open(index_path, device=device)
    with progress_bar("comparing") as progress:
        found = find_duplicates(index, near=not exact, workers=workers, progress=progress)
    more = sum(len(group) - 1 for group in found.groups)
    if as_json:
        groups = [
            [{"name": one.name, "exact": one.exact, "sha256": one.record.sha256} for one in group]
            for group in found.groups
        ]
        print_json({"index": index_path, "photos": len(index), "duplicates": more, "groups": groups})
    else:
        for number, group in enumerate(found.groups, start=1):
            for place, one in enumerate(group):
                say(f"{number:4d}  {'exact' if one.exact else 'near ' if place else 'first'}  {one.name}")
        say(f"{index_path}: {counted(more, 'duplicate')} in {counted(len(found.groups), 'group')}")
    list_cut(found.dropped, "{} photo{} not compared")
