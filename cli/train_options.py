"""The options of `ceret train`; ranges and defaults are those of the library's settings."""

from collections.abc import Callable
from typing import Any

import click

from ce_retrieval.training.config import ENGINES, MASKS, Schedule, TrainConfig
from ce_retrieval.training.packed import SIZES
from ce_retrieval.training.presets import PRESETS
from cli.options import PATH, Decorator, number_option, option
from cli.values import number

_OF_PRESET: dict[str, Any] = {"default": None, "show_default": "the preset's"}

_OPTIONS: tuple[Decorator, ...] = (
    option("--preset", type=click.Choice([*PRESETS]), default="compact", show_default=True, help="Network, rates."),
    option("--out", type=PATH, required=True, help="Folder of the run: checkpoints, weights, metrics, samples."),
    option("--masks", type=click.Choice(MASKS), help="Strategy of the holes; none trains an autoencoder."),
    option(
        "--shapes",
        type=PATH,
        show_default="smooth blobs",
        help="Folder of object shapes for region holes: palette PNGs as in PASCAL VOC.",
    ),
    option("--val", type=PATH, show_default="a held-out part of PHOTOS", help="Photos to validate on."),
    number_option("steps", TrainConfig, "Length of the run in steps."),
    number_option("minutes", TrainConfig, "Length of the run in minutes."),
    number_option("batch", TrainConfig, "Photos a step, over all processes.", **_OF_PRESET),
    number_option("rate", TrainConfig, "Learning rate of the network.", **_OF_PRESET),
    number_option(
        "adversarial", TrainConfig, "Weight of the adversarial loss: 0.001 in the paper, 0 for none.", **_OF_PRESET
    ),
    option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Any other field of run or network."),
    number_option("seed", TrainConfig, "Everything random follows from it."),
    option("--size", type=number(SIZES), show_default="5/4 of the crop", help="Side to decode unpacked PHOTOS at, px."),
    option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    option(
        "--engine",
        type=click.Choice([*ENGINES]),
        default="fast",
        show_default=True,
        help="plain: eager float32, to compare.",
    ),
    number_option("validate_every", Schedule, "Steps between validations."),
    number_option("checkpoint_every", Schedule, "Steps between checkpoints."),
    option("--init", "begin_with", type=PATH, help="Weights to start from (.safetensors), instead of random ones."),
    option("--resume", is_flag=True, help="Continue from the newest checkpoint in OUT."),
)


def train_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a training run."""
    for add_option in reversed(_OPTIONS):
        function = add_option(function)
    return function
