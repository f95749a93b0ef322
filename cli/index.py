"""`ceret index`."""

from pathlib import Path
from typing import Any

import click

from ce_retrieval.errors import counted
from ce_retrieval.photo_index import IndexSettings, build_index
from ce_retrieval.settings import ranges
from cli.options import (
    PATH,
    engine_option,
    json_option,
    kind_option,
    number_option,
    option,
    places_option,
    recipe_options,
    skip_duplicates_option,
    work_options,
)
from cli.output import print_built, print_plan, progress_bar, told_duplicates, warn_built

DEFAULTS = IndexSettings()


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", type=PATH)
@option("--out", required=True, metavar="NAME.ceret", type=PATH, help="The index to write.")
@option(
    "--features",
    default=DEFAULTS.features,
    show_default=True,
    help="The descriptor: encoder, kind, hog, gist, thumbnail, onnx:FILE, or with a parameter, as in thumbnail:16, "
    "encoder:context or encoder:FILE (docs/cli.md).",
)
@option(
    "--hole",
    type=click.Choice(ranges(IndexSettings)["hole"].choices or ()),
    default=DEFAULTS.hole,
    show_default=True,
    help="none: photos are described whole, and queries may have any hole; center: each is described without its centre, as "
    "in the paper, and queries must have that hole.",
)
@number_option("size", IndexSettings, "Side to which photos are resized, px.")
@kind_option(
    DEFAULTS.kind,
    "What describes the kind of each photo, beside its features: kind, the network of the package (needs torch); onnx:FILE, "
    "your own; or none.",
)
@places_option(
    "--places",
    DEFAULTS.places,
    "Also store local features of each photo, by which photos of the same place are found from other viewpoints.",
)
@skip_duplicates_option(
    "--skip-duplicates",
    DEFAULTS.skip_duplicates,
    "Leave out photos whose file has the same bytes as another's, now and with every `ceret add`.",
)
@recipe_options(IndexSettings)
@engine_option(DEFAULTS.engine)
@work_options(DEFAULTS)
@json_option
def command(sources: tuple[Path, ...], out: Path, as_json: bool, **options: Any) -> None:
    """Index the photos of SOURCES by context.

    A SOURCE is a folder (with all its subfolders), a tar shard in WebDataset form, a parquet
    file with an image column, a folder of tar shards or parquet files, or one photo. Files that cannot be read are skipped
    and listed. A stopped build resumes when the same command is run again; `ceret add` brings a finished one up to date.
    """
    settings = IndexSettings(**options)
    with progress_bar("indexing") as progress:
        report = build_index(sources, out, settings, progress, print_plan(settings.recipe))
    warn_built(report)
    resumed = f", {report.present} of them from an earlier run" if report.present else ""
    text = f"{out}: {counted(report.count, 'photo')}{resumed}; {counted(len(report.skipped), 'file')} skipped"
    text += told_duplicates(report)
    print_built(text, out, report, as_json)
