"""`ceret complete`."""

from pathlib import Path
from typing import Any

import click

from cli.completion_options import chosen_settings, completer_options
from cli.options import PATH, json_option, mask_options, max_pixels_option, workers_option
from cli.output import print_json, progress_bar, with_options


@click.command()
@click.argument("photo", metavar="PHOTO|FOLDER", type=PATH)
@mask_options
@click.option("--out", required=True, metavar="DIR", type=PATH, help="Where STEM.png and STEM.json go.")
@completer_options
@workers_option(None, "Threads in all.", show_default="all cores")
@click.option("--save-candidates", "candidate_fills", is_flag=True, help="Also write the fill of each candidate.")
@max_pixels_option
@json_option
def command(
    photo: Path,
    mask: Path,
    invert: bool,
    alpha: bool,
    method: str,
    index_path: Path | None,
    workers: int | None,
    out: Path,
    candidate_fills: bool,
    max_pixels: int,
    as_json: bool,
    **settings: Any,
) -> None:
    """Fill the hole of PHOTO, or of every photo of FOLDER and its subfolders.

    The fill comes from the best scenes of an index, from patches of the photo itself, or from a network (--method). With a
    folder, --mask is one mask for all or a folder of masks with the photos' names, and DIR gets FOLDER's subfolders.
    Finished results are skipped. Photos that fail are listed at the end, and the exit code is then 1. STEM.json says
    where every filled pixel came from.
    """
    from ce_retrieval.completion.folders import MaskReading, complete_folder, finished, plan_jobs
    from ce_retrieval.completion.methods import METHODS, make_completer

    given = chosen_settings(method, index_path is not None, settings)
    if candidate_fills and not METHODS[method].has_candidates:
        raise click.UsageError(f"--method {method} makes one fill: leave out --save-candidates")
    jobs = plan_jobs(photo, mask, out)
    completer = make_completer(method, index_path, workers=workers, settings=given)
    reading = MaskReading(invert, alpha)
    with progress_bar("completing") as progress:
        more: dict[str, Any] = {"candidate_fills": candidate_fills, "max_pixels": max_pixels}
        outcomes = list(complete_folder(completer, jobs, out, reading=reading, progress=progress, **more))
    written, skipped, failed = finished(outcomes)
    about = [_translated(outcome.as_json()) for outcome in outcomes]
    if failed and not photo.is_dir():
        raise click.ClickException(about[0]["error"])
    if as_json:
        print_json(about)
    elif photo.is_dir():
        click.echo(f"{out}: {written} completed, {skipped} done before, {len(failed)} failed")
    else:
        click.echo(f"{about[0]['written']}{' (done before)' if skipped else ''}")
    notes = [f"note: {one['photo']}: {one['hint']}" for one in about if one["hint"]]
    for line in [*notes, *(f"failed: {one['error']}" for one in about if one["error"])]:
        click.echo(line, err=True)
    if failed:
        raise SystemExit(1)


def _translated(outcome: dict[str, Any]) -> dict[str, Any]:
    """Return an outcome whose error and hint name options."""
    return {
        name: with_options(value) if name in ("error", "hint") and value else value for name, value in outcome.items()
    }
