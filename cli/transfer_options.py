"""The options of `ceret transfer`; ranges, defaults and help are those of the library's settings."""

from collections.abc import Callable
from typing import Any

import click

from ce_retrieval.settings import ranges
from ce_retrieval.transfer.settings import FineTuning, TransferSettings
from cli.options import PATH, Decorator, number_option

_HELP = {name: one.help for kind in (TransferSettings, FineTuning) for name, one in ranges(kind).items()}


def _number(name: str, kind: Any = TransferSettings, **more: Any) -> Decorator:
    return number_option(name, kind, _HELP[name], **more)


def _training(name: str) -> Decorator:
    """Return the option of a number of the training, None unless it is given: a probe has none of them."""
    return _number(name, FineTuning, default=None, show_default=str(getattr(FineTuning, name)))


_OPTIONS: tuple[Decorator, ...] = (
    click.option(
        "--data",
        type=PATH,
        required=True,
        metavar="ROOT",
        help="A folder of PASCAL VOC, as VOCdevkit/VOC2007, or photos in a subfolder a class.",
    ),
    click.option("--val", type=PATH, metavar="FOLDER", help="Photos to measure, in the same subfolders; not for VOC."),
    click.option(
        "--init",
        required=True,
        metavar="random|encoder:CHECKPOINT|autoencoder:CHECKPOINT|weights:FILE",
        help=_HELP["init"],
    ),
    click.option("--rescale", is_flag=True, help=_HELP["rescale"]),
    click.option("--probe", is_flag=True, help="Train one layer on pool5 as it is, in place of all layers."),
    _number("labels"),
    _number("seeds"),
    _number("seed"),
    _training("steps"),
    _training("batch"),
    _training("rate"),
    _training("checkpoint_every"),
    _number("size"),
    _number("units"),
    _number("crops"),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    click.option("--resume", is_flag=True, help="Continue the unfinished run in DIR."),
    click.option("--out", type=PATH, required=True, metavar="DIR", help="Where the results go."),
)


def transfer_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a transfer."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def chosen_settings(options: dict[str, Any]) -> TransferSettings:
    """Return the settings that options name; a usage error for an option of training beside --probe."""
    training = {name: options[name] for name in ranges(FineTuning) if options[name] is not None}
    if options["probe"] and training:
        option = f"--{next(iter(training)).replace('_', '-')}"
        raise click.UsageError(f"--probe trains no layer of the network: leave out {option}, or --probe")
    values = {name: options[name] for name in ranges(TransferSettings)}
    return TransferSettings(**values, fine_tuning=None if options["probe"] else FineTuning(**training))
