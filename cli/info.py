"""`ceret info`."""

from dataclasses import asdict
from pathlib import Path

import click

from ce_retrieval.photo_index import StoredKind, read_manifest
from ce_retrieval.photo_index.codes import StoredCodes
from cli.index import command as index_command
from cli.options import PATH, json_option, option
from cli.output import print_json, say, with_options


@click.command()
@click.argument("index_path", metavar="NAME.ceret", type=PATH)
@option(
    "--skipped",
    "list_skipped",
    is_flag=True,
    help="List what could not be read, was not looked at, or was left out as a duplicate, with the reasons.",
)
@json_option
def command(index_path: Path, list_skipped: bool, as_json: bool) -> None:
    """Describe an index: its photos, features, hole protocol, sources, size on disk."""
    manifest = read_manifest(index_path)
    about = {
        "photos": manifest.count,
        "removed": manifest.removed,
        "kept_out": len(manifest.kept_out.names) + len(manifest.kept_out.sha256),
        "skip_duplicates": manifest.skip_duplicates,
        "duplicates": sum(len(segment.repeats) for segment in manifest.segments),
        "complete": manifest.complete,
        "features": manifest.descriptor,
        "cells": manifest.cells,
        "channels": manifest.channels,
        "weights": manifest.weights_sha256,
        "kind": _about_kind(manifest.kind) if manifest.kind else None,
        "places": asdict(manifest.places) if manifest.places else None,
        "photo_size": manifest.size,
        "hole": manifest.hole,
        "recipe": manifest.recipe,
        "codes": _about_codes(manifest.codes) if manifest.codes else None,
        "segments": len(manifest.segments),
        "bytes": sum(stored.bytes for segment in manifest.segments for stored in segment.files.values()),
        "sources": [f"{source.root} ({source.kind})" for source in manifest.sources],
        "skipped": len(manifest.skipped),
        "libraries": dict(manifest.libraries),
    }
    named = [
        (manifest.name_of(one.source, one.key), with_options(one.reason, index_command)) for one in manifest.passed_over
    ]
    repeats = [one.name for segment in manifest.segments for one in segment.repeats]
    named += [(manifest.name_of(*name), "left out, with the bytes of another photo") for name in repeats]
    if as_json:
        print_json({**about, **({"skipped_files": named} if list_skipped else {})})
        return
    for name, value in about.items():
        lines = value if isinstance(value, list) else [] if value is None else [value]
        if isinstance(value, dict):
            lines = [", ".join(f"{key} {one}" for key, one in value.items() if one is not None)]
        for line in lines:
            say(f"{name.replace('_', ' '):<15} {line}")
    for photo, reason in named if list_skipped else ():
        say(f"{photo}: {reason}")


def _about_codes(codes: StoredCodes) -> dict[str, float | str | None]:
    return {"parts": codes.parts, "lists": codes.lists or None, "effort": codes.effort, "recall": codes.recall}


def _about_kind(kind: StoredKind) -> dict[str, str | int | None]:
    return {
        "features": kind.descriptor,
        "channels": kind.channels,
        "photo_size": kind.size,
        "weights": kind.weights_sha256,
    }
