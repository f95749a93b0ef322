"""Which fills a hole: the options of `ceret complete` that choose it, and what they choose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ce_retrieval.completion.settings import FILLS, METHODS, RERANKS, CompletionSettings, DecoderSettings
from cli.options import default_k, focus_option, optional_index_option, weights_option

if TYPE_CHECKING:
    from ce_retrieval.completion.decoder import DecoderCompleter
    from ce_retrieval.completion.pipeline import Completer

DEFAULTS = CompletionSettings()
# Options that have no meaning for a network's own fill.
_OF_RETRIEVAL = {"index_path": "--index", "k": "-k", "focus": "--focus", "rerank": "--rerank"}


def completer_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --method, --index, -k, --focus, --rerank, --fill and --weights."""
    method, rerank, fill = (click.Choice(names) for names in (METHODS, RERANKS, FILLS))
    k_help, fill_help = "Candidates kept, and blends in a mean.", "How what is found or predicted fills the hole."
    options = (
        click.option("--method", type=method, default=METHODS[0], show_default=True, help="Where the fill comes from."),
        optional_index_option,
        click.option("-k", type=click.IntRange(1), show_default=default_k(DEFAULTS.k), help=k_help),
        focus_option,
        click.option(
            "--rerank", type=rerank, default=DEFAULTS.rerank, show_default=True, help="Order of the candidates."
        ),
        click.option(
            "--fill", type=fill, show_default=f"{DEFAULTS.fill}; encoder: {DecoderSettings.fill}", help=fill_help
        ),
        weights_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


def check_choices(chosen: dict[str, Any], *, save_candidates: bool) -> None:
    """Raise UsageError where these values of `completer_options` do not go together."""
    if chosen["method"] == "encoder":
        source = click.get_current_context().get_parameter_source
        given = [option for name, option in _OF_RETRIEVAL.items() if source(name) != click.core.ParameterSource.DEFAULT]
        given += ["--save-candidates"] * save_candidates
        if given:
            raise click.UsageError(f"--method encoder uses no index: leave out {', '.join(given)}")
    elif chosen["index_path"] is None:
        raise click.UsageError("--method retrieval needs --index NAME.ceret; --method encoder needs none")
    elif chosen["weights"] and chosen["rerank"] != "guided":
        raise click.UsageError("--weights belongs to --method encoder and --rerank guided: leave it out, or choose one")


def make_completer(
    method: str,
    index_path: Path,
    k: int | None,
    focus: float | str | None,
    rerank: str,
    fill: str | None,
    weights: Path | None,
) -> Completer | DecoderCompleter:
    """Return what completes photos by these choices."""
    file = str(weights) if weights else None
    if method == "encoder":
        from ce_retrieval.completion.decoder import DecoderCompleter

        return DecoderCompleter(DecoderSettings(fill=fill or DecoderSettings.fill, weights=file))
    from ce_retrieval.completion.pipeline import Completer
    from ce_retrieval.photo_index import PhotoIndex

    index = PhotoIndex.open(index_path)
    k, fill = k or min(DEFAULTS.k, len(index)), fill or DEFAULTS.fill
    return Completer(index, CompletionSettings(k=k, rerank=rerank, fill=fill, focus=focus, weights=file))
