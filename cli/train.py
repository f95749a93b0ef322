"""`ceret train`: train a context encoder on a collection of photos."""

import math
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from ce_retrieval.training.config import ENGINES, Schedule, TrainConfig
from ce_retrieval.training.presets import changed, preset_config
from cli.options import PATH, json_option
from cli.output import note, print_result, steps_bar, warn_passed_over, warn_skipped
from cli.train_options import train_options


@click.command("train")
@click.argument("photos", type=PATH, nargs=-1, required=True)
@train_options
@json_option
def command(photos: tuple[Path, ...], preset: str, out: Path, as_json: bool, **options: Any) -> None:
    """Train on PHOTOS: a file or shards of `ceret pack`, or folders, tar shards, parquet files, photos.

    Give --steps or --minutes. Writes OUT/best.safetensors (and a float16 copy), OUT/metrics.csv and OUT/samples. For
    several GPUs or machines start it with torchrun.
    """
    named = {key: options[key] for key in ("masks", "batch", "rate", "adversarial", "seed", "steps", "minutes")}
    config = changed(preset_config(preset, **named), options["settings"])
    from ce_retrieval.models.requirements import require_torch

    require_torch("training")
    from ce_retrieval.holes.files import load_shapes
    from ce_retrieval.models.checkpoint import load_tensors
    from ce_retrieval.training import open_photos
    from ce_retrieval.training.run_folder import RunFolder
    from ce_retrieval.training.team import choose_device, team_of
    from ce_retrieval.training.trainer import train

    device, side = choose_device(options["device"]), config.network.size
    inputs: dict[str, Any] = {name: options[name] for name in ("resume", "begin_with")}
    inputs["engine"] = ENGINES[options["engine"]]
    inputs["schedule"] = Schedule(options["validate_every"], options["checkpoint_every"])
    inputs["shapes"] = load_shapes(options["shapes"]) if options["shapes"] else None
    # What fails for these fails before the photos are decoded.
    RunFolder(out).check(resume=options["resume"])
    if options["begin_with"]:
        load_tensors(options["begin_with"])
    with team_of(device) as team, steps_bar(shown=team.leads) as bar:
        progress = partial(bar, "decoding")
        open_all = partial(open_photos, apart=[out], progress=progress)
        packed, read = open_all(photos, options["size"] or side * 5 // 4)
        warn_skipped(read.skipped)
        warn_passed_over(read.notes)
        held_out = open_all([options["val"]], side)[0] if options["val"] else None
        report = partial(_report, bar, config)
        summary = train(
            config, packed, out, device=device, team=team, held_out=held_out, report=report, warn=_warn, **inputs
        )
    if team.leads:
        print_result(f"{summary.weights} (step {summary.best_step})", asdict(summary), as_json)


def _warn(line: str) -> None:
    note(f"note: {line}")


def _report(bar: Any, config: TrainConfig, now: Any) -> None:
    """Show a step on the bar, and print the figures of a validation."""
    speed = f"loss {now.loss:.5f}"
    if now.photos_per_second:  # not known after the first step of a start
        speed += f"  {now.photos_per_second:.0f} photos/s"
    total = config.steps or now.step + round(now.left * now.photos_per_second / config.batch)
    bar("training", now.step, total, speed)
    if now.metrics:
        figures = "  ".join(f"{name} {value:.3f}" for name, value in now.metrics.items())
        left = f"  {now.left / 60:.1f} min left" if math.isfinite(now.left) else ""
        note(f"step {now.step}  {speed}{left}")
        note(f"  {figures}")
