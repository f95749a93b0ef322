"""`ceret train`: train a context encoder on a collection of photos."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ce_retrieval.training.config import MASKS, PRESETS
from cli.options import json_option
from cli.output import print_result

_PATH = click.Path(path_type=Path)
_ENGINES = click.Choice(["fast", "compiled", "plain"])


@click.command("train")
@click.argument("photos", type=_PATH)
@click.option("--preset", type=click.Choice([*PRESETS]), default="compact", show_default=True, help="Network, rates.")
@click.option("--out", type=_PATH, required=True, help="Folder of the run: checkpoints, weights, metrics, samples.")
@click.option("--masks", type=click.Choice(MASKS), help="Strategy of the holes; none trains an autoencoder.")
@click.option("--shapes", type=_PATH, help="Folder of object masks for region holes; default: smooth blobs.")
@click.option("--val", type=_PATH, help="Photos to validate on; default: a held-out part of PHOTOS.")
@click.option("--steps", type=int, help="Length of the run in steps.")
@click.option("--minutes", type=float, help="Length of the run in minutes.")
@click.option("--batch", type=int, help="Photos a step, over all processes.")
@click.option("--rate", type=float, help="Learning rate of the encoder.")
@click.option("--adversarial", type=float, help="Weight of the adversarial loss: 0.001 in the paper, 0 for none.")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Any other field of run or network.")
@click.option("--seed", default=0, show_default=True, help="Everything random follows from it.")
@click.option("--size", type=int, help="Side at which to decode PHOTOS that are not packed; default: 5/4 of the crop.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--engine", type=_ENGINES, default="fast", show_default=True, help="plain: eager float32, to compare.")
@click.option("--validate-every", default=500, show_default=True, help="Steps between validations.")
@click.option("--checkpoint-every", default=250, show_default=True, help="Steps between checkpoints.")
@click.option("--init", "begin_with", type=_PATH, help="Weights to start from (.safetensors), instead of random ones.")
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint in OUT.")
@json_option
def command(photos: Path, preset: str, out: Path, shapes: Path | None, val: Path | None, **options: Any) -> None:
    """Train on PHOTOS: a file of `ceret pack`, a folder, a tar shard or parquet.

    Give --steps or --minutes. Writes OUT/best.safetensors (and a float16 copy), OUT/metrics.csv and OUT/samples. For
    several GPUs or machines start it with torchrun.
    """
    from ce_retrieval.models.requirements import require_torch

    require_torch("training")
    from ce_retrieval.holes.files import load_shapes
    from ce_retrieval.training import changed, open_photos, preset_config
    from ce_retrieval.training.learner import ENGINES
    from ce_retrieval.training.team import choose_device, team_of
    from ce_retrieval.training.trainer import Schedule, train

    named = {key: options[key] for key in ("masks", "batch", "rate", "adversarial", "seed", "steps", "minutes")}
    config = changed(preset_config(preset, **named), options["settings"])
    device = choose_device(options["device"])
    packed, skipped = open_photos(photos, options["size"] or config.network.size * 5 // 4)
    for key, reason in skipped:
        click.echo(f"skipped {key}: {reason}", err=True)
    inputs: dict[str, Any] = {
        "engine": ENGINES[options["engine"]],
        "schedule": Schedule(options["validate_every"], options["checkpoint_every"]),
        "held_out": open_photos(val, config.network.size)[0] if val else None,
        "shapes": load_shapes(shapes) if shapes else None,
    }
    inputs.update(resume=options["resume"], begin_with=options["begin_with"])
    with team_of(device) as team:
        summary = train(config, packed, out, device=device, team=team, report=_report, **inputs)
    if team.leads:
        print_result(f"{summary.weights} (step {summary.best_step})", asdict(summary), options["as_json"])


def _report(now: Any) -> None:
    terminal = sys.stderr.isatty()
    line = f"step {now.step}  loss {now.loss:.5f}  {now.photos_per_second:.0f} photos/s  {now.left / 60:.1f} min left"
    if now.metrics:
        line += "\n  " + "  ".join(f"{name} {value:.3f}" for name, value in now.metrics.items())
    if terminal or now.metrics:
        click.echo(("\r" if terminal else "") + line, nl=bool(now.metrics), err=True)
