"""`ceret evaluate`."""

from pathlib import Path

import click

from ce_retrieval.evaluation.settings import EvaluationSettings
from cli.options import index_option, weights_option
from cli.output import steps_bar, warn_skipped

DEFAULTS = EvaluationSettings(methods=())


@click.command()
@click.argument("photos", nargs=-1, required=True, metavar="PHOTOS...", type=click.Path(path_type=Path))
@index_option()
@click.option(
    "--methods",
    metavar="NAME,...",
    help="What to measure [default: the index's features by several fills, smooth, oracle].",
)
@click.option(
    "--masks",
    default=DEFAULTS.masks,
    show_default=True,
    metavar="STRATEGY|FOLDER",
    help="center, block, region, or mask files.",
)
@click.option(
    "--shapes", type=click.Path(path_type=Path), help="Object masks for the region strategy (PASCAL palette PNGs)."
)
@click.option(
    "--seed", type=int, default=DEFAULTS.seed, show_default=True, help="Decides the holes and the photos on the sheets."
)
@click.option("--limit", type=click.IntRange(1), help="Measure so many photos, drawn by the seed [default: all].")
@click.option("--keep-leaks", is_flag=True, help="Keep queries that have near-duplicates in the collection.")
@weights_option
@click.option("--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Where the results go.")
def command(
    photos: tuple[Path, ...],
    index_path: Path,
    methods: str | None,
    masks: str,
    shapes: Path | None,
    seed: int,
    limit: int | None,
    keep_leaks: bool,
    weights: Path | None,
    out: Path,
) -> None:
    """Measure methods on PHOTOS: cut a hole into each photo, fill it, and compare the fill with the truth.

    A method is FEATURES[@PX][+rim|+guided][+blend|+mean|+scenes|+patchmatch], as in thumbnail@8+rim+blend; a network's own
    fill, network[:CHECKPOINT][+blend]; patchmatch; a classical fill (telea, navier-stokes, biharmonic, smooth); or a limit
    (oracle, ring). Writes results.json, table.md and contact sheets.
    """
    from ce_retrieval.evaluation import default_methods, evaluate, markdown_table, notes, write_report
    from ce_retrieval.photo_index import PhotoIndex

    index = PhotoIndex.open(index_path)
    chosen = str(weights) if weights else None
    settings = EvaluationSettings(
        methods=tuple(methods.split(",")) if methods else default_methods(index.manifest.descriptor, chosen),
        seed=seed,
        masks=masks,
        shapes=str(shapes) if shapes else None,
        keep_leaks=keep_leaks,
        limit=limit,
        weights=chosen,
    )
    with steps_bar() as progress:
        evaluation = evaluate(photos, index, out, settings, progress)
    warn_skipped([*evaluation.unreadable, *evaluation.unserved], "query photo")
    for leak in evaluation.leaks:
        what = f"{'the mirror image of ' if leak.mirrored else ''}{leak.photo}"
        click.echo(f"near-duplicate: {leak.query} of {what} (similarity {leak.similarity:.2f})", err=True)
    click.echo(markdown_table(evaluation))
    click.echo("")
    for line in [*notes(evaluation), *(f"written: {path}" for path in write_report(evaluation, out))]:
        click.echo(line)
