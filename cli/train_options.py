"""The options of `ceret train`; ranges and defaults are those of the library's settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ce_retrieval.training.config import ENGINES, MASKS, RANGES, Schedule, TrainConfig
from ce_retrieval.training.packing import SIZES
from ce_retrieval.training.presets import PRESETS
from cli.options import Decorator

_PATH = click.Path(path_type=Path)


def _number(name: str, kind: Any, text: str, default: Any = None) -> Decorator:
    """Return the option of a numeric setting of a run; kind: click.IntRange or click.FloatRange."""
    left, low, high, right = RANGES[name]
    values = kind(low, high, min_open=left == "(", max_open=right == ")")
    return click.option(f"--{name}", type=values, default=default, show_default=True, help=text)


def _every(name: str, default: int, text: str) -> Decorator:
    return click.option(f"--{name}-every", type=click.IntRange(1), default=default, show_default=True, help=text)


_OPTIONS: tuple[Decorator, ...] = (
    click.option(
        "--preset", type=click.Choice([*PRESETS]), default="compact", show_default=True, help="Network, rates."
    ),
    click.option("--out", type=_PATH, required=True, help="Folder of the run: checkpoints, weights, metrics, samples."),
    click.option("--masks", type=click.Choice(MASKS), help="Strategy of the holes; none trains an autoencoder."),
    click.option("--shapes", type=_PATH, help="Folder of object masks for region holes; default: smooth blobs."),
    click.option("--val", type=_PATH, help="Photos to validate on; default: a held-out part of PHOTOS."),
    _number("steps", click.IntRange, "Length of the run in steps."),
    _number("minutes", click.FloatRange, "Length of the run in minutes."),
    _number("batch", click.IntRange, "Photos a step, over all processes."),
    _number("rate", click.FloatRange, "Learning rate of the network."),
    _number("adversarial", click.FloatRange, "Weight of the adversarial loss: 0.001 in the paper, 0 for none."),
    click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Any other field of run or network."),
    _number("seed", click.IntRange, "Everything random follows from it.", TrainConfig.seed),
    click.option(
        "--size", type=click.IntRange(*SIZES), help="Side to decode unpacked PHOTOS at; default: 5/4 of the crop."
    ),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    click.option(
        "--engine",
        type=click.Choice([*ENGINES]),
        default="fast",
        show_default=True,
        help="plain: eager float32, to compare.",
    ),
    _every("validate", Schedule.validate_every, "Steps between validations."),
    _every("checkpoint", Schedule.checkpoint_every, "Steps between checkpoints."),
    click.option(
        "--init", "begin_with", type=_PATH, help="Weights to start from (.safetensors), instead of random ones."
    ),
    click.option("--resume", is_flag=True, help="Continue from the newest checkpoint in OUT."),
)


def train_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a training run."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function
