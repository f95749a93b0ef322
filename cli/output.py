"""What commands print: results to stdout, progress to stderr, and errors as one line."""

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ce_retrieval.errors import CeretError, SettingsError
from cli.options import options_of

if TYPE_CHECKING:
    from ce_retrieval.photo_index import BuildReport


@contextlib.contextmanager
def one_line_errors(running: Callable[[], click.Command | None]) -> Iterator[None]:
    """Turn the library's errors into `Error: ...` on stderr and exit code 1; no other code does this.

    A bad value of an argument is a usage error, with exit code 2, as those that click finds.

    Parameters
    ----------
    running : returns the running command, whose options the message names; None before it is known.
    """
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
        raise  # click handles its own errors, and ends quietly when the reader of stdout has gone
    except Exception as error:
        line = _one_line(error)
        if line is None:
            raise
        command = running()
        text = with_options(line, command)
        if isinstance(error, SettingsError) and command:
            group = click.get_current_context()
            raise click.UsageError(text, click.Context(command, group, group.invoked_subcommand)) from error
        raise click.ClickException(text) from error


def with_options(line: str, command: click.Command | None = None) -> str:
    """Return a message of the library with options in place of arguments.

    Parameters
    ----------
    line : names arguments in backticks, as in `max_memory`.
    command : whose options; None: the running command's.
    """
    options = options_of(command or click.get_current_context().command)
    return re.sub(r"`(\w+)`", lambda found: options.get(found[1], found[0]), line)


def _one_line(error: Exception) -> str | None:
    """Return what to tell the user of an error, or None for a fault of the program."""
    if isinstance(error, CeretError):
        return " ".join(str(error).split())
    from indexes.base import EngineError  # after CeretError, which may say that `indexes` is not ours

    if isinstance(error, EngineError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "out of memory: use smaller photos, or fewer --workers"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{(error.strerror or str(error)).lower()}: check the path"
    return None


def print_json(value: Any) -> None:
    """Print JSON to stdout; paths become texts, and infinite or undefined (NaN) numbers null."""
    plain = json.loads(json.dumps(value, default=os.fspath), parse_constant=lambda _: None)
    text = json.dumps(plain, indent=1, ensure_ascii=False)
    click.echo(text.encode(errors="backslashreplace"))  # file names need not be valid UTF-8: JSON's own escapes


def print_result(text: str, value: Any, as_json: bool) -> None:
    """Print a result to stdout: as the text, or its value as JSON."""
    if as_json:
        print_json(value)
    else:
        click.echo(text)


def print_built(text: str, index: Path, report: "BuildReport", as_json: bool) -> None:
    """Print how building an index, or adding to one, ended: as the text or as JSON."""
    counts = {"photos": report.count, "added": report.added, "present": report.present, "skipped": len(report.skipped)}
    lists = {"changed": report.changed, "vanished": report.vanished}
    skipped = [(name, with_options(reason)) for name, reason in report.skipped]
    passed_over = {"skipped_files": skipped, "refused": report.refused, "notes": report.notes}
    print_result(text, {"index": index, **counts, **lists, **passed_over}, as_json)


def warn_built(report: "BuildReport") -> None:
    """Say on stderr what building an index, or adding to one, has passed over, and which photos are not what they were."""
    list_cut([f"{path}: {reason}" for path, reason in report.refused], "{} given path{} without a photo, passed over")
    warn_skipped(report.skipped)
    list_cut(report.changed, "{} photo{} changed since indexed, described anew")
    list_cut(report.vanished, "{} photo{} vanished since indexed, removed")
    warn_passed_over(report.notes)


def warn_passed_over(notes: Sequence[tuple[str, str]]) -> None:
    """Say on stderr what kinds of files were passed over."""
    for path, line in notes:
        click.echo(f"note: {path}: {line}", err=True)


def list_cut(lines: Sequence[str], title: str) -> None:
    """List lines on stderr, the first twenty, then how many more; `title` has a place for their number and a plural s."""
    if lines:
        click.echo(f"{title.format(len(lines), 's' if len(lines) > 1 else '')}:", err=True)
    for line in lines[:20]:
        click.echo(f"  {line}", err=True)
    if len(lines) > 20:
        click.echo(f"  and {len(lines) - 20} more", err=True)


@contextlib.contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show done and total with rate and time left on stderr; yields None where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with steps_bar() as step:
        yield lambda done, total: step(text, done, total)


@contextlib.contextmanager
def steps_bar(*, shown: bool = True) -> Iterator[Callable[..., None]]:
    """Show a task that has several steps, one bar after another; silent where stderr is no terminal, or not `shown`.

    Yields a function of the step's text, done, total, and what to show behind the bar, if anything.
    """
    if not (shown and sys.stderr.isatty()):
        yield lambda text, done, total, status="": None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    class Rate(TextColumn):
        """Items a second."""

        def __init__(self) -> None:
            super().__init__("")

        def render(self, task: Any) -> Any:
            from rich.text import Text

            return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s", style="progress.data.speed")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    status_column = TextColumn("{task.fields[status]}")
    with Progress(*columns, status_column, console=Console(stderr=True)) as bar:
        tasks: dict[str, TaskID] = {}

        def step(text: str, done: int, total: int, status: str = "") -> None:
            if text not in tasks:
                tasks[text] = bar.add_task(text, total=total, status="")
            bar.update(tasks[text], completed=done, total=total, status=status)

        yield step


def warn_skipped(skipped: Sequence[tuple[str, str]], what: str = "file") -> None:
    """List on stderr what was skipped and why."""
    list_cut([f"{name}: {with_options(reason)}" for name, reason in skipped], f"{{}} {what}{{}} skipped")
