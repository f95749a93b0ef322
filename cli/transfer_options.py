"""The options of `ceret transfer`; ranges, defaults and help are those of the library's settings."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click

from ce_retrieval.settings import ranges
from ce_retrieval.transfer.settings import SETTINGS, FineTuning, TransferSettings
from cli.options import PATH, Decorator, number_option, option, option_name
from cli.values import File

_TASKS = tuple(SETTINGS)
_TRAINING = ranges(FineTuning)
# Of which tasks each option is that not all of them have.
_ONLY = {"val": ("classify",), "probe": ("classify",), "proposals": ("detect",)}


def _default(task: str, name: str) -> Any:
    """Return the default of a setting of a task; that of a number of the training is of training all layers."""
    settings = SETTINGS[task]
    if name not in _TRAINING:
        return getattr(settings, name)
    return getattr(getattr(settings, "fine_tuning", None) or FineTuning(), name)


def _tasks_with(name: str) -> list[str]:
    if name in _ONLY:
        return list(_ONLY[name])
    return [task for task, kind in SETTINGS.items() if name in _TRAINING or name in ranges(kind)]


def _help(name: str) -> str:
    tasks = _tasks_with(name)
    owner: Any = FineTuning if name in _TRAINING else SETTINGS[tasks[0]]
    text = ranges(owner)[name].help
    return text if len(tasks) == len(_TASKS) else f"For {' and '.join(tasks)}: {text[0].lower()}{text[1:]}"


def _number(name: str) -> Decorator:
    """Return the option of a number, None unless it is given: tasks that lack it must not get it."""
    tasks = _tasks_with(name)
    owner = FineTuning if name in _TRAINING else SETTINGS[tasks[0]]
    defaults = {task: _default(task, name) for task in tasks}
    several = len(set(defaults.values())) > 1
    one = "all" if defaults[tasks[0]] is None else str(defaults[tasks[0]])
    shown = ", ".join(f"{value} to {task}" for task, value in defaults.items()) if several else one
    return number_option(name, owner, _help(name), default=None, show_default=shown)


_OPTIONS: tuple[Decorator, ...] = (
    option(
        "--data",
        type=PATH,
        required=True,
        metavar="ROOT",
        help="A folder of PASCAL VOC, as VOCdevkit/VOC2007; to classify, also photos in a subfolder a class.",
    ),
    option(
        "--val",
        type=PATH,
        metavar="FOLDER",
        help="For classify: photos to measure, in the same subfolders; not for VOC.",
    ),
    option(
        "--proposals",
        type=File(),
        multiple=True,
        metavar="FILE",
        help="For detect: boxes that may hold objects, .npz or .mat; several for several files.",
    ),
    option(
        "--init",
        required=True,
        metavar="random|encoder:CHECKPOINT|autoencoder:CHECKPOINT|weights:FILE",
        help=_help("init"),
    ),
    option("--rescale", is_flag=True, help=_help("rescale")),
    option(
        "--probe",
        is_flag=True,
        help="For classify: train one layer on pool5, or on --layer, as it is, in place of all layers.",
    ),
    option(
        "--layer",
        type=click.Choice(ranges(SETTINGS["classify"])["layer"].choices or ()),
        help=_help("layer"),
        show_default=_default("classify", "layer"),
    ),
    _number("labels"),
    option(
        "--fcn",
        type=click.Choice(ranges(SETTINGS["segment"])["fcn"].choices or ()),
        help=_help("fcn"),
        show_default=_default("segment", "fcn"),
    ),
    *(_number(name) for name in ("seeds", "seed", "steps", "batch", "rate", "checkpoint_every")),
    *(_number(name) for name in ("size", "units", "crops", "shorter", "longer", "regions")),
    option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    option("--resume", is_flag=True, help="Continue the run in DIR, also with more seeds."),
    option("--out", type=PATH, required=True, metavar="DIR", help="Where the results go."),
)


def transfer_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a transfer."""
    for add_option in reversed(_OPTIONS):
        function = add_option(function)
    return function


def chosen_settings(task: str, options: dict[str, Any]) -> TransferSettings:
    """Return the settings that options name; a usage error for an option that the task, or a probe, does not have."""
    # Not given: None, a flag that is off, no file. 0 is a value, though Python takes it for False.
    given = {name: value for name, value in options.items() if not (value is None or value is False or value == ())}
    kind = SETTINGS[task]
    known = {*ranges(TransferSettings), *_TRAINING, *(entry.name for entry in fields(kind)), "device"}
    for name in given:
        if name not in known and task not in _ONLY.get(name, ()):
            raise click.UsageError(
                f"{option_name(name)} is for {' and '.join(_tasks_with(name))}: leave it out to {task}"
            )
    training = {name: given.pop(name) for name in _TRAINING if name in given}
    if given.get("probe") and training:
        raise click.UsageError(
            f"--probe trains no layer of the network: leave out {option_name(next(iter(training)))}, or --probe"
        )
    if "layer" in given and not given.get("probe"):
        raise click.UsageError("--layer is of a probe: give --probe too, or leave out --layer")
    values: dict[str, Any] = {name: value for name, value in given.items() if name in ranges(kind)}
    tuned = FineTuning(**{name: training.get(name, _default(task, name)) for name in _TRAINING})
    values["fine_tuning"] = None if given.get("probe") else tuned
    return kind(**values)
