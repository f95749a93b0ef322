"""`ceret pack`: decode a collection once, into one file that training reads at full speed, or into shards to send."""

from pathlib import Path

import click

from ce_retrieval.errors import counted
from ce_retrieval.training.packed import SIZES, THREADS
from ce_retrieval.training.packed_shards import DEFAULT_QUALITY, DEFAULT_SHARD_BYTES, QUALITY, SHARD_BYTES
from ce_retrieval.training.packing import FORMATS, pack_photos
from cli.options import PATH, json_option, option, workers_option
from cli.output import print_result, progress_bar, warn_passed_over, warn_skipped
from cli.values import Memory, number, readable_memory


@click.command("pack")
@click.argument("photos", type=PATH, nargs=-1, required=True)
@option("--out", type=PATH, required=True, help="HDF5 file to write, NAME.h5, or folder of shards.")
@option(
    "--size",
    type=number(SIZES),
    default=160,
    show_default=True,
    help="Side of the packed photos, px; crops are taken from them.",
)
@option(
    "--format",
    type=click.Choice(FORMATS),
    default=FORMATS[0],
    show_default=True,
    help="h5: pixels in one file, read at full speed. webp: photos in tar shards, a tenth of the size.",
)
@option("--quality", type=number(QUALITY), show_default=str(DEFAULT_QUALITY), help="Of WebP.")
@option(
    "--shard-size",
    type=Memory(SHARD_BYTES),
    show_default=readable_memory(DEFAULT_SHARD_BYTES),
    help="Most that a shard of WebP holds.",
)
@workers_option(THREADS, "Threads that decode.")
@json_option
def command(
    photos: tuple[Path, ...],
    out: Path,
    size: int,
    format: str,
    quality: int | None,
    shard_size: int | None,
    workers: int,
    as_json: bool,
) -> None:
    """Decode PHOTOS (folders, tar shards, parquet files, photos) once into squares of SIZE x SIZE.

    Every photo is resized whole, whatever its shape. Photos that cannot be read are skipped, named on stderr, and
    counted at the end.
    """
    how = {"format": format, "quality": quality, "shard_size": shard_size, "workers": workers}
    with progress_bar("packing") as progress:
        report = pack_photos(photos, out, size, progress=progress, **how)  # type: ignore[arg-type]
    warn_skipped(report.skipped)
    warn_passed_over(report.notes)
    text = f"{out}: {counted(report.count, 'photo')} of {size} x {size} px, {len(report.skipped)} skipped"
    about = {"out": out, "photos": report.count, "size": size, "skipped": len(report.skipped)}
    print_result(text, {**about, "skipped_files": report.skipped, "notes": report.notes}, as_json)
