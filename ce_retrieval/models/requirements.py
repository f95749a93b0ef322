"""The packages that networks need, checked before they are imported: an install without dependencies lacks them."""

from __future__ import annotations

from importlib.util import find_spec

from ce_retrieval.errors import CeretError


def missing_packages() -> list[str]:
    """Return those of torch and safetensors that are not installed."""
    return [name for name in ("torch", "safetensors") if find_spec(name) is None]


def require_torch(what: str) -> None:
    """Raise CeretError, with the command that installs them, where torch or safetensors is missing.

    what: what needs them, as in "training".
    """
    if missing := missing_packages():
        raise CeretError(f"{what} needs {' and '.join(missing)}: pip install {' '.join(missing)}")
