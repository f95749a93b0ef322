"""`ceret table1`."""

from pathlib import Path

import click

from ce_retrieval.evaluation.settings import EvaluationSettings
from cli.options import PATH, json_option, number_option, option, searched_index_options, weights_option
from cli.output import print_json, say, steps_bar, warn_left_out


@click.command()
@click.argument("photos", nargs=-1, required=True, metavar="PHOTOS...", type=PATH)
@searched_index_options
@number_option("seed", EvaluationSettings, "Decides the photos on the sheets, and the draws of the intervals.")
@number_option("limit", EvaluationSettings, "How many photos to measure, drawn by the seed.", show_default="all")
@option("--keep-leaks", is_flag=True, help="Keep queries that have near-duplicates in the collection.")
@weights_option
@option("--out", required=True, metavar="DIR", type=PATH, help="Where the results go.")
@json_option
def command(
    photos: tuple[Path, ...],
    index_path: Path,
    device: str,
    seed: int,
    limit: int | None,
    keep_leaks: bool,
    weights: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Make Table 1 of the paper (Pathak et al. 2016) on PHOTOS, with the paper's own figures beside it.

    The nearest context by HOG, the nearest by learned features, each pasted into the central hole, and the network's own
    fill. Writes table1.md, and what `ceret evaluate` writes.
    """
    from ce_retrieval.evaluation import evaluate
    from ce_retrieval.evaluation.table1 import check_table1, paper_figures, table1, table1_settings, write_table1
    from ce_retrieval.photo_index import PhotoIndex

    index = PhotoIndex.open(index_path, device=device)
    settings = table1_settings(index, seed=seed, limit=limit, weights=weights, keep_leaks=keep_leaks)
    check_table1(out)
    with steps_bar() as progress:
        evaluation = evaluate(photos, index, out, settings, progress)
    written = write_table1(evaluation, out)
    warn_left_out(evaluation)
    if as_json:
        print_json({"rows": paper_figures(evaluation), "written": [str(path) for path in written]})
        return
    for line in [*table1(evaluation).splitlines(), *(f"written: {path}" for path in written)]:
        say(line)
