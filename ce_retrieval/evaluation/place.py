"""The files that an evaluation writes."""

from pathlib import Path

from ce_retrieval.own_files import EVALUATION, check_free, check_picture, check_results
from ce_retrieval.photo_index.writing import check_outside
from ce_retrieval.storage import check_folder

TABLE, TABLE1 = "table.md", "table1.md"
SHEET_ROWS = 16  # photos on the contact sheets
ROWS_A_SHEET = 8


def sheet_name(number: int) -> str:
    """Return the file name of a contact sheet, counted from 1."""
    return f"sheet-{number:02d}.png"


def check_place(out: Path) -> None:
    """Raise StorageError where an evaluation cannot write to `out`, or would replace a file that ceret did not write."""
    check_folder(out)
    check_outside(out / TABLE)
    sheets = range(1, SHEET_ROWS // ROWS_A_SHEET + 1)
    check_results(out, EVALUATION)
    check_free(out / TABLE)
    for number in sheets:
        check_picture(out / sheet_name(number))
