"""`ceret tune`: choose how an index is searched, and measure it."""

from pathlib import Path

import click

from ce_retrieval.retrieval.tuning import Measured, TuningSettings, tune_index
from cli.options import PATH, json_option, number_option, recipe_options, search_memory_option
from cli.output import print_json, print_recipes, progress_bar, say

DEFAULTS = TuningSettings()


@click.command()
@click.argument("index_path", metavar="NAME.ceret", type=PATH)
@recipe_options(TuningSettings)
@search_memory_option(DEFAULTS)
@number_option("queries", TuningSettings, "Photos to measure with.")
@number_option("seed", TuningSettings, "Decides the photos and their holes.")
@json_option
def command(
    index_path: Path, recipe: str, recall: float, max_memory: int, queries: int, seed: int, as_json: bool
) -> None:
    """Choose how an index is searched, measure it, and store the result.

    Photos of the index are given holes from half of their area down to 1/16 of their side. The share of their ten nearest that
    a search by codes finds is measured against an exact search. The effort (the number of candidates) grows until this share is
    at least --recall for each kind of hole. Programs that have the index open keep what they opened.
    """
    settings = TuningSettings(recipe, recall, max_memory, queries, seed)
    with progress_bar("coding") as progress:
        done = tune_index(index_path, settings, progress)
    if as_json:
        measured = [{"effort": one.effort, "recall": one.recalls, "seconds": one.seconds} for one in done.measured]
        print_json({"index": index_path, "recipe": done.recipe.name, "measured": measured})
        return
    print_recipes(done.recipe, done.possible)
    for one in done.measured:
        say(_line(one))
    kept = f", effort {done.measured[-1].effort:g}" if done.measured else ""
    say(f"{index_path}: searched by the recipe {done.recipe.name}{kept}")


def _line(one: Measured) -> str:
    holes = ", ".join(
        f"{hole} {recall:.3f} in {1000 * one.seconds[hole]:.1f} ms" for hole, recall in one.recalls.items()
    )
    return f"effort {one.effort:<5g} recall@10: {holes}"
