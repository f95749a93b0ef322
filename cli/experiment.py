"""`ceret experiment`."""

from pathlib import Path

import click

from cli.options import PATH, json_option, option
from cli.output import note, print_json, say, steps_bar


@click.command()
@click.argument("experiment", metavar="FILE.toml", type=PATH)
@option("--out", required=True, metavar="DIR", type=PATH, help="Where the results go.")
@json_option
def command(experiment: Path, out: Path, as_json: bool) -> None:
    """Measure methods as FILE.toml says: several kinds of holes, several seeds, the same photos.

    Each evaluation has a folder DIR/MASKS-SEED, as of `ceret evaluate`. DIR/experiment.md has the figures over all seeds, and
    DIR/report.html the same with pictures, as a page for any browser. A run that was stopped goes on, and a second one
    measures only what has changed.
    """
    from ce_retrieval.evaluation import Evaluation, tables
    from ce_retrieval.evaluation.experiments.experiment import read_experiment
    from ce_retrieval.evaluation.experiments.run import REPORT, SUMMARY, run_experiment
    from ce_retrieval.evaluation.plots.drawing import has_plots

    wanted = read_experiment(experiment)

    def done(name: str, evaluation: Evaluation) -> None:
        note(f"{name}: {len(evaluation.names)} photos measured, {len(evaluation.leaks)} left out as near-duplicates")

    with steps_bar() as progress:
        found = run_experiment(wanted, out, progress, done)
    if not has_plots():
        note("figure6, figure5 and overview were not drawn: they need matplotlib (pip install '.[plots]')")
    if as_json:
        print_json(
            {
                "experiment": out / SUMMARY,
                "report": out / REPORT,
                "masks": {
                    name: {
                        one.method.name: {"l1": one.summary.l1, "l2": one.summary.l2, "psnr": one.summary.psnr}
                        for one in evaluation.results
                    }
                    for name, evaluation in found.items()
                },
            }
        )
        return
    for name, evaluation in found.items():
        for line in [f"## {name}", "", *tables(evaluation).splitlines(), ""]:
            say(line)
    say(f"written: {out / SUMMARY}")
    say(f"written: {out / REPORT}")
