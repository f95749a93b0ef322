"""Settings of feature learning: what a network starts from, and how it is trained and measured. No torch here."""

from __future__ import annotations

from typing import NamedTuple

from ce_retrieval.errors import SettingsError, shown

KINDS = ("random", "encoder", "autoencoder", "weights")
FORMS = "random, encoder:CHECKPOINT, autoencoder:CHECKPOINT or weights:FILE"


class Initialisation(NamedTuple):
    """What a network starts from.

    Attributes
    ----------
    kind : one of KINDS.
    path : of the checkpoint or file; "" for `random`.
    """

    kind: str
    path: str


def parse_initialisation(text: str) -> Initialisation:
    """Return the initialisation that a text names; SettingsError where it names none."""
    kind, colon, path = text.partition(":")
    if kind not in KINDS or (kind == "random" and colon):
        raise SettingsError(f"`init` is {shown(text)}: expected {FORMS}")
    if kind != "random" and not path:
        made = {
            "encoder": "; train one by the preset paper-region",
            "autoencoder": "; train one by the preset autoencoder",
        }
        raise SettingsError(
            f"`init` is {shown(text)}: no such weights ship with ceret, so name a file, as in {kind}:FILE{made.get(kind, '')}"
        )
    return Initialisation(kind, path)
