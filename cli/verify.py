"""`ceret verify`."""

from pathlib import Path

import click

from ce_retrieval.photo_index import verify_index
from cli.options import PATH, json_option
from cli.output import print_json


@click.command()
@click.argument("index_path", metavar="NAME.ceret", type=PATH)
@json_option
def command(index_path: Path, as_json: bool) -> None:
    """Check every file of an index against the manifest; exit code 1 if one is missing, truncated or altered."""
    found = verify_index(index_path)
    if as_json:
        print_json({"files": found.files, "problems": list(found.problems)})
    else:
        for problem in found.problems:
            click.echo(problem)
        click.echo(f"{index_path}: {found.files} files checked, {len(found.problems)} problems")
    if found.problems:
        raise SystemExit(1)
