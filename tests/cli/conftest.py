"""What the tests of the command line share: a runner, a photo, a mask."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from cli.main import main


@pytest.fixture
def ceret() -> Callable[..., Result]:
    """Run `ceret ARGUMENTS...` in this process."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def photo(tmp_path: Path, bundled_photos: list) -> Path:
    """A photo of 100x80 pixels that is not in the collection."""
    Image.fromarray(np.ascontiguousarray(bundled_photos[2][60:220:2, 100:300:2])).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """A hole in the middle of it."""
    hole = np.zeros((80, 100), np.uint8)
    hole[20:60, 30:70] = 255
    Image.fromarray(hole).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


@pytest.fixture
def one_line_error() -> Callable[[Result], str]:
    """Check that a run ended with one line on stderr and exit code 1, and return the line.

    A bad value of an option ends with exit code 2, and its line follows the two of click that name the command's help.
    """

    def check(result: Result) -> str:
        assert isinstance(result.exception, SystemExit), result.exception
        lines = result.stderr.splitlines()
        if lines[0].startswith("Usage: "):
            assert result.exit_code == 2 and lines[1].startswith("Try 'main ") and lines[2] == "", result.output
            lines = lines[3:]
        else:
            assert result.exit_code == 1, result.output
        assert len(lines) == 1 and lines[0].startswith("Error: "), result.stderr
        assert result.stdout == ""
        return lines[0]

    return check
