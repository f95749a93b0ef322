"""`ceret contexts`."""

import json
from pathlib import Path
from typing import Any

import click

from ce_retrieval.evaluation.contexts.settings import SHARE, ContextSettings
from cli.options import PATH, device_option, json_option, number_option, option
from cli.output import print_json, say, steps_bar, warn_left_out
from cli.values import Listed


@click.command()
@click.argument("photos", nargs=-1, required=True, metavar="PHOTOS...", type=PATH)
@option(
    "--index",
    "index_paths",
    metavar="NAME.ceret",
    type=PATH,
    required=True,
    multiple=True,
    help="The collection; may be repeated.",
)
@device_option
@option("--features", metavar="NAME,...", default="", type=Listed(), help="Further features, indexed in DIR.")
@option(
    "--holes",
    metavar="SHARE,...",
    default="0.25,0.5,0.75",
    show_default=True,
    type=Listed(SHARE),
    help="Central squares, by side.",
)
@option(
    "--masks", metavar="STRATEGY|FOLDER,...", default="", type=Listed(), help="Further holes, as of `ceret evaluate`."
)
@option("--shapes", metavar="FOLDER", type=PATH, help="Object shapes for region holes: palette PNGs as in PASCAL VOC.")
@option("--blind", is_flag=True, help="Also search with the hole painted over.")
@number_option("altered", ContextSettings, "How many altered copies of photos of the collection to search for.")
@number_option("seed", ContextSettings, "Decides holes, copies, and the photos in the picture.")
@number_option("limit", ContextSettings, "How many photos to measure, drawn by the seed.", show_default="all")
@option("--keep-leaks", is_flag=True, help="Keep queries that have near-duplicates in the collection.")
@number_option("k", ContextSettings, "Neighbours in the picture.")
@number_option("rows", ContextSettings, "Photos in the picture, drawn by the seed.")
@option("--photo", "shown", metavar="NAME", multiple=True, help="Show this one of PHOTOS; may be repeated.")
@option("--out", required=True, metavar="DIR", type=PATH, help="Where the results go.")
@json_option
def command(
    photos: tuple[Path, ...], index_paths: tuple[Path, ...], device: str, out: Path, as_json: bool, **settings: Any
) -> None:
    """Measure the nearest contexts of PHOTOS: are they of the photo's kind, and do altered copies find their originals?

    Writes contexts.md, contexts.json and figure8.png, which shows neighbours as Figure 8 of the paper does.
    """
    from ce_retrieval.evaluation import context_tables, measure_contexts, write_contexts
    from ce_retrieval.photo_index import PhotoIndex

    wanted = ContextSettings(**settings)
    indexes = [PhotoIndex.open(path, device=device) for path in index_paths]
    with steps_bar() as progress:
        evaluation = measure_contexts(photos, indexes, out, wanted, progress)
    written = write_contexts(evaluation, out)
    warn_left_out(evaluation)
    if as_json:
        results = json.loads(written[-1].read_bytes())
        del results["sha256"]  # of the file
        print_json({**results, "written": [str(path) for path in written]})
        return
    for line in [*context_tables(evaluation).splitlines(), *(f"written: {path}" for path in written)]:
        say(line)
