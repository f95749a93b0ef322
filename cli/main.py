"""`ceret`: the group of all commands. A command's module is imported when it is called, so that help is instant."""

import importlib
from typing import Any

import click

from cli.interrupt import ending_soon_after_interrupt
from cli.output import one_line_errors, stdout_error

COMMANDS = {
    "index": "Index photos by context.",
    "add": "Bring an index up to date with its photos.",
    "remove": "Remove photos from an index.",
    "tune": "Choose how an index is searched, and measure it.",
    "compact": "Free the space of removed photos.",
    "merge": "Make one index of several.",
    "export": "Write an index for other programs: a FAISS file, parquet, Lance.",
    "relocate": "Tell an index where its photos are now.",
    "info": "Say what an index is.",
    "verify": "Check every file of an index, and its photos.",
    "duplicates": "List the photos that an index has more than once.",
    "publish": "Write an index to a Milvus, which then searches it.",
    "query": "Find the nearest contexts of a photo with a hole, or photos like this one.",
    "complete": "Fill the holes of photos, from other photos or by a network.",
    "app": "Do so in the browser: paint the hole, choose among the fills.",
    "evaluate": "Measure methods on photos whose truth is known.",
    "table1": "Make Table 1 of the paper on photos of yours.",
    "experiment": "Measure methods under several kinds of holes and seeds.",
    "contexts": "Measure the nearest contexts of photos.",
    "pack": "Pack photos into one file for training.",
    "train": "Train a context encoder.",
    "transfer": "Measure what pre-trained weights are worth to another task.",
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and summaries without importing them."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line; a stdout that takes no help and no version is an error of one line, as elsewhere."""
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            stdout_error(error).show()
            raise SystemExit(1) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of `COMMANDS`, the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None if there is none with that name."""
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(f"cli.{cmd_name}").command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, with the library's errors as one line."""
        with one_line_errors(lambda: self.get_command(ctx, ctx.invoked_subcommand or "")):
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from `COMMANDS`."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ceret")
def main() -> None:
    """Index photos by context, find the nearest contexts of a photo with a hole, and fill the hole from them."""


def run() -> None:
    """Run the command line as the process's own program."""
    with ending_soon_after_interrupt():
        main()
