"""`ceret remove`: remove photos from an index on purpose."""

from pathlib import Path

import click

from ce_retrieval.errors import counted
from ce_retrieval.photo_index import remove_photos, restore_photos
from cli.options import PATH, json_option, option
from cli.output import print_result


@click.command()
@click.argument("index_path", metavar="NAME.ceret", type=PATH)
@click.argument("names", metavar="[PHOTO|FOLDER...]", nargs=-1, type=PATH)
@option("--sha256", metavar="HASH", multiple=True, help="Photos whose file has this SHA-256; may be repeated.")
@option("--where", metavar="EXPRESSION", help="Photos for which this holds, as in \"licence != 'CC0'\".")
@option("--restore", is_flag=True, help="Let removed photos come back with the next `ceret add`.")
@json_option
def command(
    index_path: Path, names: tuple[Path, ...], sha256: tuple[str, ...], where: str | None, restore: bool, as_json: bool
) -> None:
    """Remove photos from an index: no search finds them, and `ceret add` does not take them up again.

    They are given as photos or folders, by --sha256, or by --where. Their files are not touched. Programs that have the index
    open keep what they opened.
    """
    if restore and where is not None:
        raise click.UsageError("--restore takes no --where: give photos, folders or --sha256")
    if restore:
        restored = restore_photos(index_path, names, sha256=sha256)
        text = f"{index_path}: {counted(restored, 'photo')} may come back: run `ceret add {index_path}`"
        print_result(text, {"index": index_path, "restored": restored}, as_json)
        return
    done = remove_photos(index_path, names, sha256=sha256, where=where)
    text = f"{index_path}: {counted(done.removed, 'photo')} removed, {done.count} left"
    print_result(text, {"index": index_path, "removed": done.removed, "photos": done.count}, as_json)
