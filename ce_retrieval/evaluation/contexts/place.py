"""The files that an evaluation of context searches writes."""

from pathlib import Path

from ce_retrieval.own_files import check_picture
from ce_retrieval.photo_index.writing import check_outside
from ce_retrieval.storage import check_folder

CONTEXTS, CONTEXTS_JSON, FIGURE8 = "contexts.md", "contexts.json", "figure8.png"


def check_context_place(out: Path) -> None:
    """Raise StorageError where one of them cannot be written to `out`, or would replace a file that ceret did not write."""
    check_folder(out)
    check_outside(out / CONTEXTS)
    for name in (CONTEXTS, CONTEXTS_JSON, FIGURE8):
        check_picture(out / name)
