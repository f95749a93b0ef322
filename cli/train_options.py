"""The options of `ceret train`; ranges and defaults are those of the library's settings."""

from collections.abc import Callable
from typing import Any

import click

from ce_retrieval.training.config import ENGINES, MASKS, Schedule, TrainConfig
from ce_retrieval.training.packed import SIZES
from ce_retrieval.training.presets import PRESETS
from cli.options import PATH, Decorator, number_option
from cli.values import number

_OPTIONS: tuple[Decorator, ...] = (
    click.option(
        "--preset", type=click.Choice([*PRESETS]), default="compact", show_default=True, help="Network, rates."
    ),
    click.option("--out", type=PATH, required=True, help="Folder of the run: checkpoints, weights, metrics, samples."),
    click.option("--masks", type=click.Choice(MASKS), help="Strategy of the holes; none trains an autoencoder."),
    click.option("--shapes", type=PATH, help="Folder of object masks for region holes; default: smooth blobs."),
    click.option("--val", type=PATH, help="Photos to validate on; default: a held-out part of PHOTOS."),
    number_option("steps", TrainConfig, "Length of the run in steps."),
    number_option("minutes", TrainConfig, "Length of the run in minutes."),
    number_option("batch", TrainConfig, "Photos a step, over all processes.", default=None),
    number_option("rate", TrainConfig, "Learning rate of the network.", default=None),
    number_option(
        "adversarial", TrainConfig, "Weight of the adversarial loss: 0.001 in the paper, 0 for none.", default=None
    ),
    click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Any other field of run or network."),
    number_option("seed", TrainConfig, "Everything random follows from it."),
    click.option("--size", type=number(SIZES), help="Side to decode unpacked PHOTOS at; default: 5/4 of the crop."),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    click.option(
        "--engine",
        type=click.Choice([*ENGINES]),
        default="fast",
        show_default=True,
        help="plain: eager float32, to compare.",
    ),
    number_option("validate_every", Schedule, "Steps between validations."),
    number_option("checkpoint_every", Schedule, "Steps between checkpoints."),
    click.option(
        "--init", "begin_with", type=PATH, help="Weights to start from (.safetensors), instead of random ones."
    ),
    click.option("--resume", is_flag=True, help="Continue from the newest checkpoint in OUT."),
)


def train_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a training run."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function
