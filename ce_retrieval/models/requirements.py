"""The packages that networks need, asked for before they are imported: an install without dependencies lacks them."""

from __future__ import annotations

from importlib.util import find_spec

from ce_retrieval.errors import CeretError


def require_torch(what: str) -> None:
    """CeretError with the command that installs what is missing of torch and safetensors. what: what needs them."""
    missing = [name for name in ("torch", "safetensors") if find_spec(name) is None]
    if missing:
        raise CeretError(f"{what} needs {' and '.join(missing)}: pip install {' '.join(missing)}")
