"""The options of `ceret complete` that choose what fills a hole, and which of them go together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ce_retrieval.completion.settings import (
    FILLS,
    METHODS,
    RERANKS,
    STARTS,
    TERM_WEIGHTS,
    CompletionSettings,
    DecoderSettings,
    SceneSettings,
    SearchSettings,
)
from cli.options import default_k, filter_options, focus_option, optional_index_option, weights_option

K, SCENES = CompletionSettings.k, SceneSettings()
_FILTERS = {"where": "--where", "exclude_same_source": "--exclude-same-source"}
_SEARCH = {"index_path": "--index", "focus": "--focus", "rerank": "--rerank", **_FILTERS}
_RANKED = {"aligned": "--aligned", "terms": "--weight", "trust": "--trust"}
# Which options each method reads, and by which name they are given.
_READ = {
    "retrieval": {
        "index_path": "--index",
        "k": "-k",
        **_SEARCH,
        "fill": "--fill",
        "candidate_fills": "--save-candidates",
    },
    "encoder": {"fill": "--fill"},
    "scenes": {
        **_SEARCH,
        **_RANKED,
        "top": "--top",
        "pick": "--pick",
        "seam": "--seam",
        "mixed": "--mixed",
        "candidate_fills": "--save-candidates",
    },
    "patchmatch": {**_SEARCH, **_RANKED, "start": "--start"},
}


class TermWeight(click.ParamType):
    """TERM=VALUE, the weight of a ranking term."""

    name = "term=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """Return the term and its weight."""
        name, _, text = str(value).partition("=")
        try:
            weight = float(text)
        except ValueError:
            weight = -1.0
        if name not in TERM_WEIGHTS or not 0 <= weight < float("inf"):
            self.fail(
                f"{value!r}: expected TERM=VALUE, TERM one of {', '.join(TERM_WEIGHTS)}, VALUE 0 or more", param, ctx
            )
        return name, weight


def completer_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `make_completer` takes."""
    method, rerank, fill, start = (click.Choice(names) for names in (METHODS, RERANKS, FILLS, STARTS))
    one = click.IntRange(1)
    options = (
        click.option("--method", type=method, default=METHODS[0], show_default=True, help="Where the fill comes from."),
        optional_index_option,
        click.option("--top", type=one, default=SCENES.top, show_default=True, help="Scenes kept and shown."),
        click.option("--pick", type=one, default=1, show_default=True, help="Which of them fills, from 1."),
        click.option(
            "--seam",
            type=click.FloatRange(0),
            default=SCENES.seam,
            show_default=True,
            metavar="PX",
            help="How far a seam may cut into known pixels, for a photo 1024 px long; 0: not at all.",
        ),
        click.option("--mixed", is_flag=True, help="Blend with the stronger gradient of scene and photo."),
        click.option(
            "--weight", "terms", type=TermWeight(), multiple=True, help="Weight of a ranking term; 0 leaves it out."
        ),
        click.option(
            "--trust",
            type=click.FloatRange(0, 1),
            default=SCENES.trust,
            show_default=True,
            help="How far a fill's colours may yield to what is expected in the hole, of values in [0, 1]; 0: not at all.",
        ),
        click.option("--aligned", type=one, default=SCENES.aligned, show_default=True, help="Scenes placed and cut."),
        click.option("--start", type=start, default="auto", show_default=True, help="What patches begin with."),
        click.option("-k", type=one, show_default=default_k(K), help="Candidates kept, and blends in a mean."),
        focus_option,
        filter_options,
        click.option(
            "--rerank", type=rerank, default=SearchSettings.rerank, show_default=True, help="Order of the candidates."
        ),
        click.option(
            "--fill",
            type=fill,
            show_default=f"{CompletionSettings.fill}; encoder: {DecoderSettings.fill}",
            help="How what is found or predicted fills the hole.",
        ),
        weights_option,
        click.option("--jobs", "workers", type=one, show_default="all cores", help="Threads in all."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def check_choices(chosen: dict[str, Any]) -> None:
    """Raise UsageError where these values of `completer_options` do not go together."""
    method, index = chosen["method"], chosen["index_path"]
    known = {name: option for options in _READ.values() for name, option in options.items()}
    source = click.get_current_context().get_parameter_source
    given = [name for name in known if source(name) not in (click.core.ParameterSource.DEFAULT, None)]
    wrong = [known[name] for name in given if name not in _READ[method]]
    if wrong:
        why = "uses no index" if method == "encoder" else f"does not read {'them' if wrong[1:] else 'it'}"
        raise click.UsageError(f"--method {method} {why}: leave out {', '.join(wrong)}")
    if index is None and method in ("retrieval", "scenes"):
        raise click.UsageError(f"--method {method} needs --index NAME.ceret; --method encoder needs none")
    of_scenes = [known[name] for name in given if name in (*_SEARCH, *_RANKED)]
    if index is None and of_scenes:
        raise click.UsageError(f"{', '.join(of_scenes)} without --index: give one, or leave that out")
    guided = index is not None and method != "encoder" and chosen["rerank"] == "guided"
    network = method == "encoder" or chosen["start"] == "encoder" or guided
    if chosen["weights"] and not network:
        raise click.UsageError(
            "--weights belongs to --method encoder, --start encoder and, with an index, --rerank guided: leave it out, or "
            "choose one"
        )
