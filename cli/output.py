"""What commands print, after all files are written: results to stdout, progress and notes to stderr, errors as one line.

What a terminal cannot show is escaped, and so are control characters: file names may hold any.
"""

import contextlib
import errno
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

import click

from ce_retrieval.errors import CeretError, SettingsError, one_line, reason_of
from cli.options import options_of

if TYPE_CHECKING:
    from ce_retrieval.evaluation import ContextEvaluation, Evaluation
    from ce_retrieval.photo_index import BuildReport
    from indexes.recipes import Recipe


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
    except click.ClickException as error:
        vars(error)["message"] = _shown(error.message, sys.stderr)
        raise
    except (click.exceptions.Exit, click.Abort, BrokenPipeError):
        raise  # click handles these, and ends quietly when the reader of stdout has gone
    except OSError as error:
        if not _is_of_printing(error):
            raise click.ClickException(_shown(_one_line(error) or "", sys.stderr)) from error
        raise stdout_error(error) from error
    except Exception as error:
        line = _one_line(error)
        if line is None:
            raise
        command = running()
        text = _shown(with_options(line, command), sys.stderr)
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


def outcome_with_options(outcome: dict[str, Any]) -> dict[str, Any]:
    """Return what became of a photo, as JSON types, with options in place of arguments in its error and hint."""
    return outcome | {name: with_options(outcome[name]) for name in ("error", "hint") if outcome[name]}


def _one_line(error: Exception) -> str | None:
    """Return what to tell the user of an error, or None for a fault of the program."""
    if isinstance(error, CeretError):
        return str(error)
    from indexes.base import EngineError  # after CeretError, which may say that `indexes` is not ours

    if isinstance(error, EngineError):
        return str(error)
    if isinstance(error, MemoryError):
        return "out of memory: use smaller photos, or fewer --workers"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{reason_of(error)}: check the path"
    return None


def say(line: str) -> None:
    """Print a line of a result to stdout."""
    _print(_shown(line, sys.stdout))


def note(line: str) -> None:
    """Print a line to stderr; where that is not possible, it is lost, and the work goes on."""
    try:
        click.echo(_shown(line, sys.stderr), err=True)
    except OSError:
        sys.stderr = io.StringIO()  # or Python would try again at its end


def print_recipes(chosen: "Recipe", possible: Sequence["Recipe"]) -> None:
    """Print to stderr what each way to search a collection takes, and which one is taken."""
    from indexes.recipes import megabytes

    note(f"{'recipe':<8} {'memory':>9} {'a query':>9} {'recall@10':>9}   (expected)")
    for one in possible:
        mark = "  <- taken" if one == chosen else ""
        note(f"{one.name:<8} {megabytes(one.memory):>9} {max(1000 * one.seconds, 1):>6.0f} ms {one.recall:>9.2f}{mark}")


def print_plan(asked: str) -> Callable[["Recipe", Sequence["Recipe"]], None]:
    """Return a function that prints the recipe before a build; it prints nothing where few photos are searched exactly."""

    def planned(chosen: "Recipe", possible: Sequence["Recipe"]) -> None:
        from ce_retrieval.photo_index.manifest import AUTO, EXACT

        if chosen.name != EXACT or asked != AUTO:
            print_recipes(chosen, possible)

    return planned


def print_json(value: Any) -> None:
    """Print JSON to stdout; paths become texts, and infinite or undefined (NaN) numbers null."""
    plain = json.loads(json.dumps(value, default=os.fspath), parse_constant=lambda _: None)
    text = json.dumps(plain, indent=1, ensure_ascii=not _is_utf8(sys.stdout))
    # Control characters, and names that are not valid UTF-8, as JSON's own escapes.
    text = re.sub("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]", lambda found: f"\\u{ord(found[0]):04x}", text)
    _print(text.encode(errors="backslashreplace"))


def _print(text: str | bytes) -> None:
    """Print to stdout; an error of one line where that is not possible, but quietly where its reader has gone."""
    try:
        click.echo(text)
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise stdout_error(error) from error


def stdout_error(error: OSError) -> click.ClickException:
    """Return the error of one line for a stdout that cannot be written; nothing more is printed there."""
    sys.stdout = io.StringIO()  # or Python would try again at its end
    reason = reason_of(error)
    return click.ClickException(f"stdout cannot be written: {reason}; what the command writes to files is there")


def _is_of_printing(error: OSError) -> bool:
    """Return whether click could not print: the help of a command, since `_print` and `note` see to their own errors."""
    return any(frame.f_globals.get("__name__") == "click.utils" for frame, _ in walk_tb(error.__traceback__))


def on_terminal() -> bool:
    """Return whether stderr is a terminal; a program may run without one, and without any stderr."""
    return sys.stderr is not None and sys.stderr.isatty()


def _shown(line: str, stream: Any) -> str:
    """Return a line as a stream can show it: control characters and what its encoding lacks become escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return one_line(line).encode(encoding, "backslashreplace").decode(encoding)


def _is_utf8(stream: Any) -> bool:
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").replace("_", "") == "utf8"


def print_result(text: str, value: Any, as_json: bool) -> None:
    """Print a result to stdout: as the text, or its value as JSON."""
    if as_json:
        print_json(value)
    else:
        say(text)


def print_built(text: str, index: Path, report: "BuildReport", as_json: bool) -> None:
    """Print how building an index, or adding to one, ended: as the text, and whether it has kind features, or as JSON."""
    counts = {"photos": report.count, "added": report.added, "present": report.present, "skipped": len(report.skipped)}
    counts["kept_out"] = report.kept_out
    counts["duplicates"] = len(report.duplicates)
    lists = {"changed": report.changed, "vanished": report.vanished, "duplicate_files": report.duplicates}
    skipped = [(name, with_options(reason)) for name, reason in report.skipped]
    passed_over = {"skipped_files": skipped, "refused": report.refused, "notes": report.notes}
    beside = {"kind": report.kind, "places": report.places}
    text += ("" if report.kind else "; no kind features") + ("; local features" if report.places else "")
    print_result(text, {"index": index, **counts, **lists, **passed_over, **beside}, as_json)


def told_duplicates(report: "BuildReport") -> str:
    """Return how many duplicates were left out, as the end of a sentence; "" where there were none."""
    left = len(report.duplicates)
    return f"; {left} duplicate{'s' if left > 1 else ''} left out" if left else ""


def warn_built(report: "BuildReport") -> None:
    """Say on stderr what building an index, or adding to one, has passed over, and which photos are not what they were."""
    list_cut([f"{path}: {reason}" for path, reason in report.refused], "{} path{} passed over")
    warn_skipped(report.skipped)
    list_cut(report.changed, "{} photo{} changed since indexed, described anew")
    list_cut(report.vanished, "{} photo{} vanished since indexed, removed")
    list_cut(
        [f"{name}: {first}" for name, first in report.duplicates], "{} photo{} left out, with the bytes of another"
    )
    warn_passed_over(report.notes)


def warn_passed_over(notes: Sequence[tuple[str, str]]) -> None:
    """Say on stderr which folders and what kinds of files were passed over: the first twenty, then how many more."""
    for path, line in notes[:20]:
        note(f"note: {path}: {line}")
    if len(notes) > 20:
        note(f"note: and {len(notes) - 20} more")


def list_cut(lines: Sequence[str], title: str) -> None:
    """List lines on stderr, the first twenty, then how many more; `title` has a place for their number and a plural s."""
    if lines:
        note(f"{title.format(len(lines), 's' if len(lines) > 1 else '')}:")
    for line in lines[:20]:
        note(f"  {line}")
    if len(lines) > 20:
        note(f"  and {len(lines) - 20} more")


@contextlib.contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show done and total with rate and time left on stderr; yields None where stderr is not a terminal."""
    if not on_terminal():
        yield None
        return
    with steps_bar() as step:
        yield lambda done, total: step(text, done, total)


@contextlib.contextmanager
def steps_bar(*, shown: bool = True) -> Iterator[Callable[..., None]]:
    """Show a task that has several steps, one bar after another; silent where stderr is no terminal, or not `shown`.

    Yields a function of the step's text, done, total, and what to show behind the bar, if anything.
    """
    if not (shown and on_terminal()):
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


def warn_left_out(evaluation: "Evaluation | ContextEvaluation") -> None:
    """Say on stderr which photos were not measured: passed over, not readable or not served, and with near-duplicates."""
    warn_passed_over(evaluation.passed_over)
    warn_skipped([*evaluation.unreadable, *evaluation.unserved], "query photo")
    for leak in evaluation.leaks:
        what = f"{'the mirror image of ' if leak.mirrored else ''}{leak.photo}"
        note(f"near-duplicate: {leak.query} of {what} (similarity {leak.similarity:.2f})")
