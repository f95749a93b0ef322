"""From the photos that a user names, by paths and folders, to those that an index knows."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ce_retrieval.photo_index.manifest import Manifest
from ce_retrieval.photo_index.manifest_parts import Source
from ce_retrieval.photos.base import plain_text


def find_names(
    manifest: Manifest, names: Sequence[tuple[int, str]], given: Sequence[str | Path]
) -> tuple[np.ndarray, list[str]]:
    """Find photos of an index by what was given.

    Parameters
    ----------
    manifest : Manifest
    names : list of (source, key)
        The photos to choose from.
    given : list of path
        Each a photo (a path, absolute or relative, or container::key), or a folder or container with photos. A link counts as
        what it leads to.

    Returns
    -------
    found : bool (n,)
    unknown : list of str
        Of `given`, what stands for none of `names`.
    """
    texts = [plain_text(os.fspath(one)) for one in given]
    wanted: dict[str, set[str]] = {}
    for text in texts:
        for form in {os.path.abspath(text), os.path.realpath(text)}:
            wanted.setdefault(form, set()).add(text)
    bases = [tuple({plain_text(root) for root in (one.root, os.path.realpath(one.root))}) for one in manifest.sources]
    found, used = np.zeros(len(names), bool), set()
    of_folder: dict[tuple[int, str], set[str]] = {}
    for row, (number, key) in enumerate(names):
        source, place = manifest.sources[number], (number, key.rpartition("/")[0])
        hits = of_folder.get(place)
        if hits is None:
            over = (one for base in bases[number] for one in _folders_over(source, base, place[1]))
            hits = of_folder[place] = set().union(*(wanted.get(one, ()) for one in over))
        for base in bases[number] if source.kind != "file" else ():
            if own := wanted.get(base + _between(source) + key):
                hits = hits | own
        if hits:
            found[row] = True
            used |= hits
    return found, [text for text in texts if text not in used]


def _between(source: Source) -> str:
    """Return what stands between a source's root and the key of a photo in its full name."""
    return "/" if source.is_folder else "::"


def _folders_over(source: Source, base: str, folder: str) -> Iterator[str]:
    """Yield a source's root, every folder above it, and every folder below it on the way to `folder`."""
    yield from (base, *map(str, Path(base).parents))
    if source.kind != "file":
        parts = folder.split("/") if folder else []
        yield from (base + _between(source) + "/".join(parts[:end]) for end in range(1, len(parts) + 1))
