"""The leak guard: queries that the collection holds already, or nearly, whose figures would be too good."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ce_retrieval.completion.scenes import SceneCache
from ce_retrieval.photo_index import PhotoIndex

COARSE = 16  # side of the colour thumbnails that are compared with the whole collection
SHORTLIST = 3  # photos that are looked at closely for each query, and for its mirror image
MIN_COARSE = 0.7  # their thumbnails' correlation: 0.74 or more for copies whose borders were cropped by 4 %
FINE = 64  # side of the grey pictures that are aligned
MAX_SHIFT = 6.0  # pixels of the grey picture by which aligning may move a corner
BAND = (1.0, 3.0)  # sigmas in pixels of the grey picture: the detail that is compared lies between
LOCAL = 4.0  # sigma in pixels of the grey picture of the neighbourhood whose contrast the detail is divided by
NO_DETAIL = 4.0  # grey levels: detail well below is rounding and noise, and counts little
EDGE = 6  # pixels of the grey picture that are not compared: aligning may have moved them in from outside
NEAR_DUPLICATE = 0.65  # correlation of the detail from which two photos are of the same view


@dataclass(frozen=True)
class Leak:
    """A query with a near-duplicate in the collection; similarity: correlation of their detail once aligned, at most 1."""

    query: str
    photo: str
    mirrored: bool
    similarity: float


class LeakGuard:
    """Finds queries with a near-duplicate in the collection, mirrored ones too; fed block by block.

    Two steps. Thumbnails, whose correlation ignores brightness and contrast, give each query a shortlist. A photo of the
    shortlist is then aligned with the query by an affine map (Evangelidis and Psarakis, "Parametric image alignment using
    enhanced correlation coefficient maximization", 2008), which undoes small crops, and their detail is correlated:
    band-passed, since two foggy skies are alike as wholes, and divided by the contrast around it, since two photos in
    the same frame share its strong edges.

    `NEAR_DUPLICATE` lies between what was measured on photos of 150x150 px (docs/evaluation.md): unrelated photos, 1,400
    against 14,008, stay under 0.55; the same view shot again reaches 0.74 or more, and copies recompressed (JPEG, quality
    20), shrunk to 64 px, brightened or cropped by 4 px a side 0.89 or more. Photos without detail are never near-duplicates.
    """

    def __init__(self, names: Sequence[str], queries: np.ndarray) -> None:
        self._names, self._queries = names, queries
        self._coarse = np.concatenate([_coarse(queries), _coarse(queries[:, :, ::-1])])
        self._scores = np.full((len(self._coarse), SHORTLIST), -1, np.float32)
        self._ids = np.full(self._scores.shape, -1, np.int64)

    def feed(self, ids: np.ndarray, photos: np.ndarray) -> None:
        """Compare the queries with photos uint8 (n, S, S, 3) of these ids."""
        scores = np.concatenate([self._scores, self._coarse @ _coarse(photos).T], axis=1)
        numbers = np.concatenate([self._ids, np.broadcast_to(ids, (len(self._ids), len(ids)))], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :SHORTLIST]
        self._scores = np.take_along_axis(scores, best, axis=1)
        self._ids = np.take_along_axis(numbers, best, axis=1)

    def leaks(self, index: PhotoIndex, scenes: SceneCache) -> dict[int, Leak]:
        """Return, by the query's number, the nearest near-duplicate of each query that has one."""
        rows, places = np.nonzero(self._scores >= MIN_COARSE)
        ids = self._ids[rows, places]
        unique = np.unique(ids)
        found = scenes.get(unique)
        fine = dict(zip(unique[found.positions].tolist(), map(_fine, found.photos), strict=True))
        half = len(self._names)

        def similarity_of(row: int, photo: int) -> float:
            query = self._queries[row % half]
            return similarity(_fine(query if row < half else query[:, ::-1]), fine[photo]) if photo in fine else -1.0

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            similarities = list(pool.map(similarity_of, rows.tolist(), ids.tolist()))
        leaks: dict[int, Leak] = {}
        for row, photo, value in zip(rows.tolist(), ids.tolist(), similarities, strict=True):
            query = row % half
            if value >= NEAR_DUPLICATE and (query not in leaks or value > leaks[query].similarity):
                name = index.name_of(index.records([photo])[0])
                leaks[query] = Leak(self._names[query], name, row >= half, value)
        return dict(sorted(leaks.items()))


def similarity(query: np.ndarray, photo: np.ndarray) -> float:
    """Return the correlation, -1 to 1, of the detail of two grey pictures float32 (FINE, FINE), aligned if that helps."""
    import cv2

    wanted = _detail(query)
    unmoved = _correlation(wanted, _detail(photo))
    if unmoved >= NEAR_DUPLICATE:
        return unmoved
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
    try:
        start = np.eye(2, 3, dtype=np.float32)
        _, warp = cv2.findTransformECC(query, photo, start, cv2.MOTION_AFFINE, criteria, None, 5)
    except cv2.error:  # it did not converge: these two have nothing to be aligned by
        return unmoved
    corners = np.array([[0, 0, 1], [0, FINE - 1, 1], [FINE - 1, 0, 1], [FINE - 1, FINE - 1, 1]]).T
    if np.abs(warp @ corners - corners[:2]).max() > MAX_SHIFT:
        return unmoved
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(photo, warp, (FINE, FINE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return max(unmoved, _correlation(wanted, _detail(moved)))


def _coarse(photos: np.ndarray) -> np.ndarray:
    """Return thumbnails float32 (n, 3 * COARSE * COARSE) of mean 0 and norm 1, so that products are correlations."""
    import cv2

    small = [cv2.resize(photo, (COARSE, COARSE), interpolation=cv2.INTER_AREA).ravel() for photo in photos]
    values = np.stack(small).astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)


def _fine(photo: np.ndarray) -> np.ndarray:
    """Return the grey picture float32 (FINE, FINE) of a photo uint8 (S, S, 3)."""
    import cv2

    small = cv2.resize(np.ascontiguousarray(photo), (FINE, FINE), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small.astype(np.float32), cv2.COLOR_RGB2GRAY)


def _detail(grey: np.ndarray) -> np.ndarray:
    """Return the band-passed picture over its local contrast, without its edge."""
    import cv2

    low, high = (cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in BAND)
    band = low - high
    contrast = np.sqrt(cv2.GaussianBlur(band * band, (0, 0), LOCAL) + NO_DETAIL**2)
    return (band / contrast)[EDGE:-EDGE, EDGE:-EDGE]


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return the correlation of two details; 0 where one of them is hardly there."""
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum()) / scale if scale > 1e-4 * a.size else 0.0
