"""`ceret app`."""

import time
from pathlib import Path
from typing import Any

import click

from ce_retrieval.app.settings import AppSettings
from ce_retrieval.settings import ranges
from cli.options import PATH, Decorator, number_option, option, option_name
from cli.output import note, say
from cli.values import Password

_HELP = ranges(AppSettings)


def _number(name: str, **more: Any) -> Decorator:
    return number_option(name, AppSettings, _HELP[name].help, **more)


@click.command()
@option(
    "--index",
    "indexes",
    metavar="NAME.ceret",
    type=PATH,
    multiple=True,
    help="An index to fill from; may be repeated. Without one, holes are filled from other photos of the place, and from the "
    "photo itself.",
)
@option("--host", default=AppSettings.host, show_default=True, metavar="ADDRESS", help=_HELP["host"].help)
@_number("port")
@option("--auth", type=Password(), help="Ask for this user and password; FILE holds them in one line.")
@option("--no-sources", is_flag=True, help=_HELP["no_sources"].help)
@option(
    "--report", type=PATH, metavar="DIR", help="Also show the results of an evaluation: the --out of `ceret evaluate`."
)
@_number("max_pixels", show_default="50 million")
@_number("max_upload", show_default="64 MB")
@_number("at_once")
def command(indexes: tuple[Path, ...], auth: tuple[str, str] | None, report: Path | None, **settings: Any) -> None:
    """Serve a page in the browser: paint a hole into a photo, fill it, and choose among the fills.

    Prints the page's address, and runs until Ctrl-C. Only this machine can open the page, unless --host says otherwise.
    """
    from ce_retrieval.app.server import served

    chosen = AppSettings(**settings)
    with served(indexes, chosen, auth=auth, report=report) as address:
        if not (chosen.is_private or auth):
            note(
                f"note: everyone who can reach {chosen.host} can use this page: ask for a password with {option_name('auth')}"
            )
        say(address)
        while True:
            time.sleep(3600)
