"""`ceret complete`."""

from pathlib import Path

import click

from ce_retrieval.completion.result import FILLS, RERANKS, CompletionSettings
from cli.options import focus_option, index_option, json_option, mask_options
from cli.output import one_line_errors, print_json, progress_bar

DEFAULTS = CompletionSettings()


@click.command()
@click.argument("photo", metavar="PHOTO|FOLDER", type=click.Path(path_type=Path))
@mask_options
@index_option
@click.option(
    "--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Where STEM.png and STEM.json go."
)
@click.option(
    "-k", type=click.IntRange(1), default=DEFAULTS.k, show_default=True, help="Candidates kept, and blends in a mean."
)
@focus_option
@click.option(
    "--rerank", type=click.Choice(RERANKS), default=DEFAULTS.rerank, show_default=True, help="Order of the candidates."
)
@click.option(
    "--fill", type=click.Choice(FILLS), default=DEFAULTS.fill, show_default=True, help="How a candidate fills the hole."
)
@click.option("--save-candidates", is_flag=True, help="Also write the photo filled from each of the k candidates.")
@json_option
def command(
    photo: Path,
    mask: Path,
    invert_mask: bool,
    mask_alpha: bool,
    index_path: Path,
    out: Path,
    k: int,
    focus: float | str | None,
    rerank: str,
    fill: str,
    save_candidates: bool,
    as_json: bool,
) -> None:
    """Fill the hole of PHOTO, or of every photo of FOLDER, from the nearest contexts in an index.

    With a folder, --mask is one mask for all or a folder of masks with the photos' stems. What is done is skipped; a photo
    that fails is listed at the end, and the exit code is then 1. STEM.json says where every filled pixel came from.
    """
    with one_line_errors():
        from ce_retrieval.completion.folder import MaskReading, complete_folder, finished, plan_jobs
        from ce_retrieval.completion.pipeline import Completer
        from ce_retrieval.photo_index import PhotoIndex

        jobs = plan_jobs(photo, mask)
        settings = CompletionSettings(k=k, rerank=rerank, fill=fill, focus=focus)
        completer = Completer(PhotoIndex.open(index_path), settings)
        reading = MaskReading(invert_mask, mask_alpha)
        with progress_bar("completing") as progress:
            run = complete_folder(
                completer, jobs, out, reading=reading, candidate_fills=save_candidates, progress=progress
            )
            outcomes = list(run)
        written, skipped, failed = finished(outcomes)
        if failed and not photo.is_dir():
            raise failed[0].error or AssertionError("a failed outcome has its error")
        if as_json:
            print_json([outcome.as_json() for outcome in outcomes])
        else:
            for outcome in outcomes if len(outcomes) == 1 else ():
                click.echo(f"{outcome.written}{' (done before)' if outcome.skipped else ''}")
            if photo.is_dir():
                click.echo(f"{out}: {written} completed, {skipped} done before, {len(failed)} failed")
        for outcome in failed:
            click.echo(f"failed: {outcome.job.photo}: {outcome.error}", err=True)
        if failed:
            raise SystemExit(1)
