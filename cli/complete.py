"""`ceret complete`."""

from pathlib import Path
from typing import Any

import click

from cli.completion_options import chosen_settings, completer_options
from cli.options import PATH, engine_options, json_option, mask_options, max_pixels_option, open_index, workers_option
from cli.output import note, outcome_with_options, print_json, progress_bar, say, warn_passed_over


@click.command()
@click.argument("photo", metavar="PHOTO|FOLDER", type=PATH)
@mask_options()
@click.option("--out", required=True, metavar="DIR", type=PATH, help="Where STEM.png and STEM.json go.")
@completer_options
@engine_options
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
    others: Path | None,
    device: str,
    store: str | None,
    workers: int | None,
    out: Path,
    candidate_fills: bool,
    max_pixels: int,
    as_json: bool,
    **settings: Any,
) -> None:
    """Fill the hole of PHOTO, or of every photo of FOLDER and its subfolders.

    The fill comes from other photos of the same place (--others, or an index that holds some), from the best scenes of an
    index, from patches of the photo itself, or from a network (--method); auto chooses for each part of the hole.
    With a folder, --mask is one mask for all or a folder of masks with the photos' names, and DIR gets FOLDER's subfolders.
    Finished results are skipped, failed photos listed at the end (exit code 1). STEM.json says where each pixel came from.
    """
    from ce_retrieval.completion.folders import complete_folder, finished
    from ce_retrieval.completion.methods import METHODS, make_completer
    from ce_retrieval.completion.plan import MaskReading, Outcome, plan_jobs

    given = chosen_settings(method, index_path is not None, others is not None, settings)
    if candidate_fills and not METHODS[method].has_candidates:
        raise click.UsageError(f"--method {method} makes one fill: leave out --save-candidates, or use --method scenes")
    plan = plan_jobs(photo, mask, out, reading := MaskReading(invert, alpha))
    outcomes = [one for one in plan if isinstance(one, Outcome)]
    if len(outcomes) < len(plan):
        index = open_index(index_path, device=device, store=store)
        completer = make_completer(method, index, workers=workers, settings=given, others=others)
        plan.notes += completer.notes
        with progress_bar("completing") as progress:
            more: dict[str, Any] = {"reading": reading, "candidate_fills": candidate_fills, "max_pixels": max_pixels}
            outcomes = list(complete_folder(completer, plan, out, progress=progress, **more))
    written, skipped, failed = finished(outcomes)
    about = [outcome_with_options(outcome.as_json()) for outcome in outcomes]
    if failed and not photo.is_dir():
        raise click.ClickException(about[0]["error"])
    if as_json:
        print_json(about)
    elif photo.is_dir():
        say(f"{out}: {written} completed, {skipped} done before, {len(failed)} failed")
    else:
        say(f"{about[0]['written']}{' (done before)' if skipped else ''}")
    warn_passed_over(plan.notes)
    for one in about:
        if one["hint"]:
            note(f"note: {one['photo']}: {one['hint']}")
    for error in (one["error"] for one in about if one["error"]):
        note(f"failed: {error}")
    if failed:
        raise SystemExit(1)
