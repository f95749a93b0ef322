"""Near-duplicates: photos of the same view, shot again, recompressed, resized, brightened, slightly cropped or mirrored.

Two steps. The correlation of thumbnails, which ignores brightness and contrast, selects candidates. Each pair is then
aligned by an affine map, which undoes small crops (Evangelidis and Psarakis, "Parametric image alignment using enhanced
correlation coefficient maximization", 2008), and the detail of both is correlated. Detail is band-passed, since two foggy
skies agree in the coarse, and divided by the contrast around it, since two photos in the same frame share strong edges.

`sameness` has the thresholds, and docs/evaluation.md what was measured on photos of 150x150 px: unrelated photos, 1,400
against 14,008, stay below 0.55; the same view photographed again reaches at least 0.71; copies recompressed (JPEG, quality
20), shrunk to 64 px, brightened, or cropped by 4 px a side reach at least 0.89. Photos without detail are never
near-duplicates.

A photo with a hole is compared by its visible pixels alone: every filter is a normalised convolution (Knutsson and Westin
1993). Of 13 such photos none was confused with any of its 40 nearest contexts. Three views photographed twice were all
found with the centre hidden, and two of them with two thirds of the photo hidden.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ce_retrieval.photos.sameness import FRAMED_ALIKE, HAND, SAME_VIEW, SAME_VIEW_MOVED
from ce_retrieval.pixels import to_grey

COARSE = 16  # side of the colour thumbnails, px
MIN_COARSE = 0.7  # least correlation of thumbnails: copies whose borders were cropped by 4 % have 0.74 or more
FINE = 64  # side of the grey pictures, px; the lengths below are in their pixels
MAX_SHIFT = 6.0  # most that aligning may move a corner
BAND = (1.0, 3.0)  # sigmas between which the compared detail lies
LOCAL = 4.0  # sigma of the neighbourhood by whose contrast the detail is divided
NO_DETAIL = 4.0  # grey levels: fainter detail is rounding and noise, and counts little
EDGE = 6  # width of the border that is not compared: aligning may have moved it in from outside
MIN_VISIBLE = 256  # least number of visible pixels for a comparison: a tenth of the inner ones


def near_duplicates(photo: np.ndarray, hole: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return which photos are near-duplicates of a photo with a hole, or of its mirror image.

    Parameters
    ----------
    photo : uint8 (S, S, 3)
        its pixels under the hole are not read.
    hole : bool (S, S)
    others : uint8 (n, S, S, 3)
        whole photos.

    Returns
    -------
    bool (n,)
    """
    found = np.zeros(len(others), bool)
    if not len(others):
        return found
    for flip in (1, -1):
        query, visible = photo[:, ::flip], np.ascontiguousarray(~hole[:, ::flip])
        shares = area(visible.astype(np.float32), COARSE)
        correlations = _visible_coarse(others, visible, shares) @ _visible_coarse(query[None], visible, shares)[0]
        grey, seen = visible_fine(query, visible)
        close = np.flatnonzero((correlations >= MIN_COARSE) & ~found)
        pairs = [(fine(others[number]), grey, seen, float(correlations[number])) for number in close]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found[close] = [value >= SAME_VIEW for value in pool.map(lambda pair: similarity(*pair), pairs)]
    return found


def similarity(still: np.ndarray, moved: np.ndarray, visible: np.ndarray | None, framing: float) -> float:
    """Return the correlation of the detail of two pictures, the better of before and after aligning them.

    After aligning it counts where little moved, the two are framed alike, or they agree as copies do (`photos.sameness`).

    Parameters
    ----------
    still, moved : float32 (FINE, FINE)
        grey pictures from `fine`; `moved` is aligned to `still`.
    visible : bool (FINE, FINE) or None
        the known pixels of `moved`; None: all.
    framing : float
        correlation of their thumbnails, as they lie.

    Returns
    -------
    -1 to 1; 0 where fewer than MIN_VISIBLE pixels can be compared.
    """
    unmoved = correlation(still, moved, visible)
    if unmoved >= SAME_VIEW:
        return unmoved
    aligned, shift = aligned_correlation(still, moved, visible)
    in_place = shift <= HAND or framing >= FRAMED_ALIKE or aligned >= SAME_VIEW_MOVED
    return max(unmoved, aligned) if in_place and shift <= MAX_SHIFT else unmoved


def aligned_correlation(still: np.ndarray, moved: np.ndarray, visible: np.ndarray | None) -> tuple[float, float]:
    """Align two pictures, as in `similarity`; return the correlation of their detail, and how far a corner moved, in px.

    The distance is infinite where the two have nothing in common to align.
    """
    import cv2

    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
    mask = None if visible is None else visible.astype(np.uint8)
    try:
        start = np.eye(2, 3, dtype=np.float32)
        _, warp = cv2.findTransformECC(still, moved, start, cv2.MOTION_AFFINE, criteria, mask, 5)
    except cv2.error:  # no convergence
        return -1.0, np.inf
    corners = np.array([[0, 0, 1], [0, FINE - 1, 1], [FINE - 1, 0, 1], [FINE - 1, FINE - 1, 1]]).T
    shift = float(np.abs(warp @ corners - corners[:2]).max())
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    aligned = cv2.warpAffine(moved, warp, (FINE, FINE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    if visible is not None:
        shares = visible.astype(np.float32)
        visible = cv2.warpAffine(shares, warp, (FINE, FINE), flags=flags, borderMode=cv2.BORDER_REPLICATE) > 0.999
    return correlation(still, aligned, visible), shift


def coarse(photos: np.ndarray) -> np.ndarray:
    """Return thumbnails of photos uint8 (n, S, S, 3): float32 (n, 3 COARSE^2) of mean 0 and norm 1.

    Their products are correlations.
    """
    values = np.stack([area(photo, COARSE).ravel() for photo in photos]).astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)


def fine(photo: np.ndarray) -> np.ndarray:
    """Return the grey picture float32 (FINE, FINE) of a photo uint8 (S, S, 3)."""
    return to_grey(area(photo, FINE).astype(np.float32))


def area(picture: np.ndarray, side: int) -> np.ndarray:
    """Resize to side x side by means over areas; unlike `resize_area` also where the picture grows."""
    import cv2

    return cv2.resize(np.ascontiguousarray(picture), (side, side), interpolation=cv2.INTER_AREA)


def _visible_coarse(photos: np.ndarray, visible: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return `coarse` of the visible pixels bool (S, S) alone; shares (COARSE, COARSE): the visible part of each pixel."""
    shown = np.maximum(shares, 1e-6)[:, :, None]
    small = [area(photo.astype(np.float32) * visible[:, :, None], COARSE) / shown for photo in photos]
    values = np.stack(small).reshape(len(small), -1)
    weights = np.repeat(shares.ravel(), 3)
    values -= (values @ weights / weights.sum())[:, None]
    values *= np.sqrt(weights)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)


def visible_fine(photo: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `fine` of the visible pixels bool (S, S), continued smoothly under the hole, and its visible pixels, bool."""
    import cv2

    grey = to_grey(area(photo.astype(np.float32) * visible[:, :, None], FINE))
    shares = area(visible.astype(np.float32), FINE)
    seen = shares > 0.999
    grey /= np.maximum(shares, 1e-6)
    mean = grey[seen].mean() if seen.any() else 0
    smooth = blurred(grey, BAND[1], seen)
    near = cv2.GaussianBlur(seen.astype(np.float32), (0, 0), BAND[1])
    return np.where(seen, grey, np.where(near > 1e-3, smooth, mean)).astype(np.float32), seen


def blurred(grey: np.ndarray, sigma: float, visible: np.ndarray | None) -> np.ndarray:
    """Blur a picture by a Gaussian over its visible pixels alone."""
    import cv2

    if visible is None:
        return cv2.GaussianBlur(grey, (0, 0), sigma)
    shares = visible.astype(np.float32)
    sums = cv2.GaussianBlur(np.where(visible, grey, np.float32(0)), (0, 0), sigma)
    return sums / np.maximum(cv2.GaussianBlur(shares, (0, 0), sigma), 1e-3)


def detail(grey: np.ndarray, visible: np.ndarray | None) -> np.ndarray:
    """Return the band-passed picture divided by its local contrast, without its border."""
    low, high = (blurred(grey, sigma, visible) for sigma in BAND)
    band = low - high
    contrast = np.sqrt(blurred(band * band, LOCAL, visible) + NO_DETAIL**2)
    return (band / contrast)[EDGE:-EDGE, EDGE:-EDGE]


def correlation(still: np.ndarray, moved: np.ndarray, visible: np.ndarray | None) -> float:
    """Return the correlation of the visible detail of two pictures; 0 if one of them has hardly any."""
    a, b = detail(still, visible), detail(moved, visible)
    if visible is not None:
        inner = visible[EDGE:-EDGE, EDGE:-EDGE]
        if np.count_nonzero(inner) < MIN_VISIBLE:
            return 0.0
        a, b = a[inner], b[inner]
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum()) / scale if scale > 1e-4 * a.size else 0.0
