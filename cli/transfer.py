"""`ceret transfer`: what pre-trained weights are worth to another task."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from ce_retrieval.transfer.settings import SETTINGS
from cli.options import json_option
from cli.output import print_json, say, steps_bar, warn_passed_over
from cli.transfer_options import chosen_settings, transfer_options


@click.command("transfer")
@click.argument("task", type=click.Choice(tuple(SETTINGS)))
@transfer_options
@json_option
def command(task: str, data: Path, out: Path, resume: bool, as_json: bool, **options: Any) -> None:
    """Train AlexNet from some first weights on a TASK, and measure it: does context pre-training help?

    \b
    classify: which classes a photo shows. PASCAL VOC 2007 by its own protocol (mean average
              precision), or folders of photos (accuracy).
    detect:   where its objects are. PASCAL VOC, by Fast R-CNN (mean average precision).
    segment:  the class of each pixel. PASCAL VOC, by fully convolutional networks (mean IU).

    Writes DIR/results.json and DIR/table.md.
    """  # noqa: D301 (click reads the control character, not its escape)
    settings = chosen_settings(task, options)
    from ce_retrieval.models.requirements import require_torch

    require_torch("training")
    from ce_retrieval.training.team import choose_device
    from ce_retrieval.transfer.classify import classify
    from ce_retrieval.transfer.detect import detect
    from ce_retrieval.transfer.results import RESULTS, TABLE, figures, summary
    from ce_retrieval.transfer.segment import segment

    learn: dict[str, Any] = {
        "classify": partial(classify, val=options["val"], say_passed_over=warn_passed_over),
        "detect": partial(detect, proposals=options["proposals"]),
        "segment": segment,
    }
    device = choose_device(options["device"])
    with steps_bar() as progress:
        seeds = learn[task](data, out, settings, device=device, resume=resume, progress=progress)
    written = [out / RESULTS, out / TABLE]
    if as_json:
        found = {name: asdict(one) for name, one in figures(seeds).items()}
        print_json({"task": task, "figures": found, "seeds": [asdict(one) for one in seeds], "written": written})
        return
    for line in [*summary(task, asdict(settings), seeds), *(f"written: {path}" for path in written)]:
        say(line)
