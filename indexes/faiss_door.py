"""The one door to FAISS, which two distributions bring: faiss-cpu, and faiss-gpu for machines with a CUDA GPU.

Both put their files into one folder `faiss`. ceret works with either, and depends on neither: an extra chooses.
"""

import functools
import importlib.util
import os
import re
from typing import Any

from indexes.base import EngineError

CHOICE = "`pip install 'ceret[cpu]'`, or with a CUDA GPU `pip install 'ceret[gpu]'`"
# The folder in which pip notes what it has installed, as in faiss_cpu-1.15.1.dist-info; forks have longer names.
_NOTED = re.compile(r"(faiss[-_](?:cpu|gpu|cuda)[^-]*)-[^-]+\.dist-info")


def load_faiss() -> Any:
    """Return the module faiss.

    Raises
    ------
    EngineError
        No distribution of FAISS is installed, two are, or the one that is cannot be loaded.
    """
    try:
        import faiss
    except ImportError as error:
        _check_one(_folder_of_faiss())
        if isinstance(error, ModuleNotFoundError) and error.name == "faiss":
            raise EngineError(f"FAISS is not installed: run {CHOICE}") from error
        reason = " ".join(str(error).split())
        raise EngineError(
            f"FAISS is installed but cannot be loaded ({reason}): uninstall it, then run {CHOICE}"
        ) from error
    _check_one(os.path.dirname(faiss.__file__ or ""))
    return faiss


def _folder_of_faiss() -> str:
    """Return the folder of the package that cannot be imported, "" where there is none."""
    try:
        spec = importlib.util.find_spec("faiss")
    except (ImportError, ValueError):
        return ""
    return os.path.dirname(spec.origin) if spec and spec.origin else ""


@functools.cache
def _check_one(folder: str) -> None:
    """Raise EngineError where two distributions share this folder: each has overwritten files of the other.

    pip's notes beside the folder are listed, which takes a fifth of a millisecond; `importlib.metadata` takes thirty to load.
    """
    try:
        names = os.listdir(os.path.dirname(folder)) if folder else []
    except OSError:  # in a zip file, say, into which pip installs nothing
        names = []
    found = sorted({noted[1].replace("_", "-") for noted in map(_NOTED.fullmatch, names) if noted})
    if len(found) > 1:
        raise EngineError(
            f"{' and '.join(found)} are both installed and overwrite each other's files: run `pip uninstall "
            f"{' '.join(found)}`, then {CHOICE}"
        )
