"""The command `ceret`, and the check that `cli` and `indexes` are ceret's packages.

Other software has packages of these names too: `pip install indexes` writes over ours, and a folder `cli` on PYTHONPATH hides
ours. This module imports neither, so that it can still say so.
"""

import importlib
import importlib.util
import os
import sys

from ce_retrieval.errors import InstallationError

OWNER = "ceret"  # each of our packages has this attribute


def check_installation(*names: str) -> None:
    """Raise InstallationError where other software, or nothing, stands in the place of one of our packages."""
    for name in names:
        place = _place(name)
        if place is None:
            raise InstallationError(f"ceret's package {name!r} is missing: reinstall ceret")
        if not _is_ours(name, place):
            raise InstallationError(
                f"{place} belongs to other software and stands in the place of ceret's package {name!r}: take it off "
                "PYTHONPATH, or reinstall ceret in a virtual environment without that software"
            )


def _place(name: str) -> str | None:
    """Return the file of a top-level package, or its folder where it has no __init__.py; None where there is no package."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    return spec.origin or next(iter(spec.submodule_search_locations or ()), None)


def _is_ours(name: str, place: str) -> bool:
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # Ours stand side by side. What lies elsewhere is not imported: it might do anything.
    if os.path.dirname(os.path.abspath(place)) != os.path.join(home, name):
        return False
    try:
        return getattr(importlib.import_module(name), "OWNER", None) == OWNER
    except Exception:  # of other software: ours imports nothing
        return False


def open_missing_streams() -> None:
    """Open the null device as each standard stream that is closed.

    The next files to be opened would get their numbers, and what a library prints would go into them.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one.
            setattr(sys, name, open(os.devnull, "w" if number else "r"))  # noqa: SIM115 - for as long as the process


def main() -> None:
    """Run the command line; exit with one line where its packages are not ours."""
    open_missing_streams()
    try:
        check_installation("cli", "indexes")
    except InstallationError as error:
        sys.exit(f"Error: {error}")
    importlib.import_module("cli.main").run()  # by name: no module of the library depends on `cli`
