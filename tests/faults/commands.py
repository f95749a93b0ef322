"""The commands that read an index and those that change one, and whether a run of them ended as it should."""

import shutil
import traceback
from pathlib import Path

from click.testing import CliRunner, Result

from cli.main import main as ceret


def reading(index: Path, photo: Path) -> dict[str, tuple]:
    query = ("query", photo, "--index", index, "-k", 5, "--json")
    return {
        "info": ("info", index, "--json"),
        "verify": ("verify", index, "--photos"),
        "duplicates": ("duplicates", index, "--json"),
        "query": query,
        "kinds": (*query, "--features", "kind"),
        "places": (*query, "--features", "places"),
        "where": (*query, "--where", "width > 0 and label != 'x'"),
    }


def changing(index: Path, photo: Path, other: Path) -> dict[str, tuple]:
    """Commands that write to the folder of `index`; other: an index to merge it with."""
    folder = index.parent
    return {
        "add": ("add", index, "--workers", 1),
        "remove": ("remove", index, photo),
        "compact": ("compact", index),
        "tune": ("tune", index, "--recipe", "pooled", "--queries", 4),
        "relocate": ("relocate", index, photo.parents[1], folder / "elsewhere"),
        "merge": ("merge", folder / "merged.ceret", index, other),
        "export": ("export", index, folder / "exported", "--to", "parquet"),
    }


def run(command: tuple) -> Result:
    return CliRunner().invoke(ceret, [str(word) for word in command])


def renew(whole: Path, index: Path) -> None:
    """Put a copy of an index in the place of another, and remove what commands made beside it."""
    for made in (index, index.parent / "merged.ceret", index.parent / "exported"):
        shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(whole, index)


def fault_of(done: Result) -> str | None:
    """Return what is wrong with how a command ended; None where it has a result, or an error of one line."""
    if done.exception and not isinstance(done.exception, SystemExit):
        return "".join(traceback.format_exception(*done.exc_info))
    if done.exit_code not in (0, 1):
        return f"exit code {done.exit_code}: {done.stderr}"
    if done.exit_code == 1 and not error_of(done) and not done.stdout.strip():
        return f"no error and no result: {done.output}"
    if "out of memory" in done.stderr or "Traceback" in done.output:
        return done.output
    return None


def error_of(done: Result) -> str | None:
    """Return the line with which a command failed, after what it noted; None where it did not fail so."""
    *noted, last = done.stderr.splitlines() or [""]
    one = last.startswith("Error: ") and len(last) < 1500 and not any(line.startswith("Error: ") for line in noted)
    return last if one and done.exit_code == 1 else None
