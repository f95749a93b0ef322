"""`ceret evaluate`."""

import json
from pathlib import Path
from typing import Any

import click

from ce_retrieval.evaluation.settings import EvaluationSettings
from cli.options import PATH, json_option, number_option, option, searched_index_options, weights_option
from cli.output import print_json, say, steps_bar, warn_left_out


@click.command()
@click.argument("photos", nargs=-1, required=True, metavar="PHOTOS...", type=PATH)
@searched_index_options
@option(
    "--methods",
    metavar="NAME,...",
    show_default="the index's features by several fills, network, smooth, oracle",
    help="What to measure.",
)
@option(
    "--masks",
    default=EvaluationSettings.masks,
    metavar="STRATEGY|FOLDER",
    show_default=True,
    help="center, block, region, irregular, or mask files.",
)
@option("--shapes", metavar="FOLDER", type=PATH, help="Object shapes for region holes: palette PNGs as in PASCAL VOC.")
@number_option("seed", EvaluationSettings, "Decides holes, the photos on the sheets, and the draws of the intervals.")
@number_option("limit", EvaluationSettings, "How many photos to measure, drawn by the seed.", show_default="all")
@option("--keep-leaks", is_flag=True, help="Keep queries that have near-duplicates in the collection.")
@weights_option
@option(
    "--perceptual",
    metavar="onnx:FILE[:LAYER,...]",
    help="Also measure how near a fill looks to the truth by this network's features [layers: its outputs with places].",
)
@option("--out", required=True, metavar="DIR", type=PATH, help="Where the results go.")
@json_option
def command(
    photos: tuple[Path, ...],
    index_path: Path,
    device: str,
    methods: str | None,
    weights: str | None,
    out: Path,
    as_json: bool,
    **settings: Any,
) -> None:
    """Measure methods on PHOTOS: cut a hole into each photo, fill it, and compare the fill with the truth.

    A method is FEATURES[@PX][+rim|+guided][+blend|+mean|+METHOD], as in thumbnail@8+rim+blend; a METHOD of `ceret
    complete` with its own defaults, as in scenes or patchmatch; a network's own fill, network[:CHECKPOINT][+blend]; a
    classical fill (telea, navier-stokes, biharmonic, smooth); or a limit (oracle, ring). +NAME=VALUE changes a setting of
    METHOD, as in patchmatch+start=network. Writes results.json, table.md and contact sheets.

    Where photos have labels (folders), P@10 is about the ten nearest contexts, and kind@1 and kind@20 about the scenes that
    fill: the share of photos whose best scene has the photo's label, and the mean share among at most 20 scenes kept.
    """
    from ce_retrieval.evaluation import default_methods, evaluate, tables, write_report
    from ce_retrieval.photo_index import PhotoIndex

    index = PhotoIndex.open(index_path, device=device)
    names = tuple(methods.split(",")) if methods is not None else default_methods(index.manifest.descriptor, weights)
    with steps_bar() as progress:
        evaluation = evaluate(photos, index, out, EvaluationSettings(names, weights=weights, **settings), progress)
    written = write_report(evaluation, out)
    warn_left_out(evaluation)
    if as_json:
        results = json.loads((out / "results.json").read_bytes())
        del results["sha256"]  # of the file
        print_json({**results, "written": [str(path) for path in written]})
        return
    for line in [*tables(evaluation).splitlines(), *(f"written: {path}" for path in written)]:
        say(line)
