"""The photos of an evaluation, each with its hole, and those that a method cannot fill."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ce_retrieval.descriptors import Descriptor, cell_weights
from ce_retrieval.errors import CeretError, EvaluationError, PhotoError, SettingsError, shown
from ce_retrieval.evaluation.settings import EvaluationSettings, LeftOut, Progress
from ce_retrieval.holes.files import holes_from_folder, load_shapes
from ce_retrieval.holes.strategies import STRATEGIES, holes_for, resize_hole
from ce_retrieval.models.network_fill import NetworkFill
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photos import PhotoItem, PhotoSource, decode_photo, open_sources
from ce_retrieval.photos.collected import check_side, reason_of
from ce_retrieval.pool import worker_pool
from ce_retrieval.retrieval.query import protocol_hole


@dataclass(frozen=True)
class Queries:
    """Photos with holes.

    Attributes
    ----------
    names : keys within their source.
    labels : "" for none.
    photos : uint8 (Q, S, S, 3)
    holes : bool (Q, S, S)
    """

    names: Sequence[str]
    labels: Sequence[str]
    photos: np.ndarray
    holes: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def only(self, rows: np.ndarray) -> "Queries":
        """Return these rows, in this order."""
        names, labels = [self.names[row] for row in rows], [self.labels[row] for row in rows]
        return Queries(names, labels, self.photos[rows], self.holes[rows])

    def by_hole(self) -> list[np.ndarray]:
        """Return the rows of each distinct hole, in the order of their first row."""
        groups: dict[bytes, list[int]] = {}
        for row, hole in enumerate(self.holes):
            groups.setdefault(np.packbits(hole).tobytes(), []).append(row)
        return [np.array(rows) for rows in groups.values()]


def read_queries(
    paths: Sequence[str | Path], size: int, settings: EvaluationSettings, report: Progress, out: Path
) -> tuple[Queries, list[LeftOut], list[tuple[str, str]]]:
    """Read the photos at size x size and give each its hole, which depends on the seed and the photo's key only.

    Parameters
    ----------
    out : where the results go: a subfolder that is not read.

    Returns
    -------
    The photos, those that could not be read, and (path, line) for each kind of file that was passed over.

    Raises
    ------
    SettingsError : unknown masks, or shapes for other masks than "region".
    EvaluationError : no photo can be read.
    MaskError, SourceError : the errors of reading masks and sources.
    """
    check_masks(settings)
    sources = open_sources(paths, apart=[out])
    entries = [(source, item) for source in sources for item in source.items()]
    if settings.limit is not None and settings.limit < len(entries):
        chosen = np.sort(np.random.default_rng(settings.seed).permutation(len(entries))[: settings.limit])
        entries = [entries[row] for row in chosen]
    names, labels, photos = [], [], []
    unreadable = [LeftOut(*one) for one in sources.refused]
    with worker_pool(os.cpu_count() or 1) as pool:
        results = pool.map(lambda entry: _read(entry[0], entry[1], size), entries)
        for number, ((_, item), photo) in enumerate(zip(entries, results, strict=True), start=1):
            if isinstance(photo, LeftOut):
                unreadable.append(photo)
            else:
                names.append(item.key)
                labels.append(item.label)
                photos.append(photo)
            report("reading the queries", number, len(entries))
    passed_over = sources.notes()
    sources.close()
    if not photos:
        first = f", the first: {unreadable[0].name}: {unreadable[0].reason}" if unreadable else ""
        raise EvaluationError(f"no query photo could be read ({len(unreadable)} skipped{first}): give other photos")
    return Queries(names, labels, np.stack(photos), draw_holes(names, size, settings)), unreadable, passed_over


def _read(source: PhotoSource, item: PhotoItem, size: int) -> np.ndarray | LeftOut:
    try:
        photo = decode_photo(source.read(item), name=item.key, size=size)
        check_side(photo.width, photo.height)
        return photo.pixels
    except PhotoError as error:
        return LeftOut(item.key, reason_of(error, source, item))


def check_masks(settings: EvaluationSettings) -> None:
    """Raise SettingsError for unknown masks, or shapes for other masks than "region"."""
    if settings.masks not in STRATEGIES and not (settings.masks and Path(settings.masks).is_dir()):
        known = ", ".join(STRATEGIES)
        raise SettingsError(
            f"`masks` {shown(settings.masks)} are unknown: choose one of {known}, or give a folder of mask files"
        )
    if settings.shapes is not None and settings.masks != "region":
        raise SettingsError(
            f"`shapes` belong to `masks` region, not {settings.masks}: leave `shapes` out, or set `masks` to region"
        )


def draw_holes(names: Sequence[str], size: int, settings: EvaluationSettings) -> np.ndarray:
    """Return the hole of each photo, bool (Q, size, size), as the settings say."""
    seed = settings.seed if settings.holes_seed is None else settings.holes_seed
    if settings.masks in STRATEGIES:
        shapes = load_shapes(settings.shapes) if settings.shapes else None
        return holes_for(settings.masks, seed, names, size, shapes)
    return holes_from_folder(settings.masks, seed, names, size)


def unserved(
    queries: Queries,
    index: PhotoIndex,
    searches: Sequence[tuple[Descriptor, float | None]],
    networks: Sequence[NetworkFill] = (),
) -> dict[int, LeftOut]:
    """Return, by row, the queries whose hole one of these searches or networks cannot serve.

    Examples: a hole that touches every block of HOG, or a hole beside the centre where the index or the network is for the
    centre only.

    Parameters
    ----------
    searches : (descriptor, focus in px or None) each.
    """
    found: dict[int, LeftOut] = {}
    for rows in queries.by_hole():
        try:
            for descriptor, focus in searches:
                cell_weights(descriptor, protocol_hole(index, queries.holes[rows[0]]), focus)
            for network in networks:
                hole = queries.holes[rows[0]]
                resized = hole.shape != (network.size, network.size)
                network.check(resize_hole(hole, network.size) if resized else hole, resized=resized)
        except CeretError as error:
            found.update((int(row), LeftOut(queries.names[row], str(error))) for row in rows)
    return dict(sorted(found.items()))
