"""The one door to FAISS, which two distributions bring: faiss-cpu, and faiss-gpu for machines with a CUDA GPU.

Both put their files into one folder `faiss`. ceret works with either, and depends on neither: an extra chooses.
"""

import functools
import importlib.util
import os
import re
from typing import Any

from indexes.base import EngineError

DEVICE = re.compile(r"auto|cpu|cuda(?::(\d+))?")
CHOICE = "`pip install '.[cpu]'`, or with a CUDA GPU `pip install '.[gpu]'`, in the folder of ceret"
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
    except (ImportError, RuntimeError) as error:  # faiss-gpu reports a missing CUDA library by a RuntimeError
        _check_one(_folder_of_faiss())
        if isinstance(error, ModuleNotFoundError) and error.name == "faiss":
            raise EngineError(f"FAISS is not installed: run {CHOICE}") from error
        reason = " ".join(str(error).split())
        raise EngineError(
            f"FAISS is installed but cannot be loaded ({reason}): uninstall it, then run {CHOICE}"
        ) from error
    _check_one(os.path.dirname(faiss.__file__ or ""))
    _survive_forks()
    return faiss


@functools.cache
def _survive_forks() -> None:
    """Make FAISS work with one thread in processes that are forked from now on.

    OpenMP's threads are not there in a forked process, and its next parallel region would wait for them for ever.
    """
    import faiss

    os.register_at_fork(after_in_child=lambda: faiss.omp_set_num_threads(1))


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


def cards_of(device: str) -> list[int]:
    """Return the numbers of the GPUs that a device stands for; none: the CPU.

    Parameters
    ----------
    device : str
        "cpu"; "cuda", all GPUs; "cuda:N", one; or "auto", all GPUs, or the CPU where FAISS can use none.

    Raises
    ------
    EngineError
        The device has another name or is not there, or FAISS cannot use it, or cannot be loaded.
    """
    named = DEVICE.fullmatch(device)
    if not named:
        raise EngineError(f"`device` is {device!r}: expected auto, cpu, cuda or cuda:N")
    if device == "cpu":
        return []
    faiss = load_faiss()
    count = faiss.get_num_gpus()
    if device == "auto":
        return list(range(count))
    if not hasattr(faiss, "StandardGpuResources"):
        raise EngineError(
            f"`device` is {device}, but this FAISS has no GPU support: run `pip uninstall faiss-cpu` and, in the folder of "
            "ceret, `pip install '.[gpu]'`, or leave `device` at cpu"
        )
    if not count:
        raise EngineError(
            f"`device` is {device}, but FAISS sees no GPU: `nvidia-smi` must list one, or leave `device` at cpu"
        )
    wanted = [int(named[1])] if named[1] else list(range(count))
    if wanted[-1] >= count:
        raise EngineError(
            f"`device` is {device}, but FAISS sees {count} GPU(s): expected cuda, or cuda:0 to cuda:{count - 1}"
        )
    return wanted
