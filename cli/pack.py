"""`ceret pack`: decode a collection once, into one file that training reads at full speed."""

from pathlib import Path

import click

from ce_retrieval.training.packing import SIZES, THREADS, check_place, pack_photos
from cli.options import PATH, json_option, workers_option
from cli.output import print_result, progress_bar, warn_passed_over, warn_skipped
from cli.values import number


@click.command("pack")
@click.argument("photos", type=PATH)
@click.option("--out", type=PATH, required=True, help="HDF5 file to write, NAME.h5.")
@click.option(
    "--size",
    type=number(SIZES),
    default=160,
    show_default=True,
    help="Side of the packed photos, px; crops are taken from them.",
)
@workers_option(THREADS, "Threads that decode.")
@json_option
def command(photos: Path, out: Path, size: int, workers: int, as_json: bool) -> None:
    """Decode PHOTOS (folder, tar shard, parquet) once into uint8 pixels of SIZE x SIZE.

    Every photo is resized whole, whatever its shape. Photos that cannot be read are skipped, named on stderr, and
    counted at the end.
    """
    from ce_retrieval.photos import open_source

    check_place(out)
    source = open_source(str(photos))
    try:
        with progress_bar("packing") as progress:
            report = pack_photos(source, out, size, workers=workers, progress=progress)
    finally:
        source.close()
    warn_skipped(report.skipped)
    warn_passed_over(report.notes)
    text = f"{out}: {report.count} photos of {size} x {size} px, {len(report.skipped)} skipped"
    about = {"out": out, "photos": report.count, "size": size, "skipped": len(report.skipped)}
    print_result(text, {**about, "skipped_files": report.skipped, "notes": report.notes}, as_json)
