"""Whether two photos are of the same view: copies, however recompressed, resized, brightened or slightly cropped.

Two steps. Thumbnails, whose correlation ignores brightness and contrast, tell what is worth a closer look. Two photos are
then aligned by an affine map (Evangelidis and Psarakis, "Parametric image alignment using enhanced correlation coefficient
maximization", 2008), which undoes small crops, and their detail is correlated: band-passed, since two foggy skies are alike
as wholes, and divided by the contrast around it, since two photos in the same frame share its strong edges.

`NEAR_DUPLICATE` lies between what was measured on photos of 150x150 px (docs/evaluation.md): unrelated photos, 1,400
against 14,008, stay under 0.55; the same view shot again reaches 0.74 or more, and copies recompressed (JPEG, quality
20), shrunk to 64 px, brightened or cropped by 4 px a side 0.89 or more. Photos without detail are never near-duplicates.

A photo with a hole is compared by what it shows alone: every filter is a normalised convolution (Knutsson and Westin 1993).
Among the 40 nearest contexts each of 13 photos no other was taken for one; of three views shot twice all were found with the
centre hidden, and two with two thirds of the photo hidden.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

COARSE = 16  # side of the colour thumbnails
MIN_COARSE = 0.7  # their correlation: 0.74 or more for copies whose borders were cropped by 4 %
FINE = 64  # side of the grey pictures that are aligned
MAX_SHIFT = 6.0  # pixels of the grey picture by which aligning may move a corner
BAND = (1.0, 3.0)  # sigmas in pixels of the grey picture: the detail that is compared lies between
LOCAL = 4.0  # sigma in pixels of the grey picture of the neighbourhood whose contrast the detail is divided by
NO_DETAIL = 4.0  # grey levels: detail well below is rounding and noise, and counts little
EDGE = 6  # pixels of the grey picture that are not compared: aligning may have moved them in from outside
NEAR_DUPLICATE = 0.65  # correlation of the detail from which two photos are of the same view
MIN_VISIBLE = 256  # pixels of the grey picture that a hole must leave for a comparison: a tenth


def near_duplicates(photo: np.ndarray, hole: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return which of `others` are near-duplicates of a photo with a hole, or of its mirror image: bool (n,).

    photo: uint8 (S, S, 3); hole: bool (S, S); others: uint8 (n, S, S, 3), whole photos. What lies under the hole does not
    matter.
    """
    found = np.zeros(len(others), bool)
    if not len(others):
        return found
    for flip in (1, -1):
        query, visible = photo[:, ::flip], np.ascontiguousarray(~hole[:, ::flip])
        shares = _area(visible.astype(np.float32), COARSE)
        correlations = _visible_coarse(others, visible, shares) @ _visible_coarse(query[None], visible, shares)[0]
        grey, seen = _visible_fine(query, visible)
        close = np.flatnonzero((correlations >= MIN_COARSE) & ~found)
        pairs = [(fine(others[number]), grey, seen) for number in close]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found[close] = [value >= NEAR_DUPLICATE for value in pool.map(lambda pair: similarity(*pair), pairs)]
    return found


def similarity(still: np.ndarray, moved: np.ndarray, visible: np.ndarray | None = None) -> float:
    """Return the correlation, -1 to 1, of the detail of two grey pictures float32 (FINE, FINE), one moved if that helps.

    visible: bool (FINE, FINE), what is known of the moved one; None: all. 0 where that is less than MIN_VISIBLE pixels.
    """
    import cv2

    unmoved = _correlation(still, moved, visible)
    if unmoved >= NEAR_DUPLICATE:
        return unmoved
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
    mask = None if visible is None else visible.astype(np.uint8)
    try:
        start = np.eye(2, 3, dtype=np.float32)
        _, warp = cv2.findTransformECC(still, moved, start, cv2.MOTION_AFFINE, criteria, mask, 5)
    except cv2.error:  # it did not converge: these two have nothing to be aligned by
        return unmoved
    corners = np.array([[0, 0, 1], [0, FINE - 1, 1], [FINE - 1, 0, 1], [FINE - 1, FINE - 1, 1]]).T
    if np.abs(warp @ corners - corners[:2]).max() > MAX_SHIFT:
        return unmoved
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    aligned = cv2.warpAffine(moved, warp, (FINE, FINE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    if visible is not None:
        shares = visible.astype(np.float32)
        visible = cv2.warpAffine(shares, warp, (FINE, FINE), flags=flags, borderMode=cv2.BORDER_REPLICATE) > 0.999
    return max(unmoved, _correlation(still, aligned, visible))


def coarse(photos: np.ndarray) -> np.ndarray:
    """Return thumbnails float32 (n, 3 * COARSE * COARSE) of mean 0 and norm 1, so that products are correlations."""
    values = np.stack([_area(photo, COARSE).ravel() for photo in photos]).astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)


def fine(photo: np.ndarray) -> np.ndarray:
    """Return the grey picture float32 (FINE, FINE) of a photo uint8 (S, S, 3)."""
    import cv2

    return cv2.cvtColor(_area(photo, FINE).astype(np.float32), cv2.COLOR_RGB2GRAY)


def _area(picture: np.ndarray, side: int) -> np.ndarray:
    import cv2

    return cv2.resize(np.ascontiguousarray(picture), (side, side), interpolation=cv2.INTER_AREA)


def _visible_coarse(photos: np.ndarray, visible: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return thumbnails as `coarse` does, of the visible pixels bool (S, S) alone; shares: of each of their pixels."""
    shown = np.maximum(shares, 1e-6)[:, :, None]
    small = [_area(photo.astype(np.float32) * visible[:, :, None], COARSE) / shown for photo in photos]
    values = np.stack(small).reshape(len(small), -1)
    weights = np.repeat(shares.ravel(), 3)
    values -= (values @ weights / weights.sum())[:, None]
    values *= np.sqrt(weights)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)


def _visible_fine(photo: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the grey picture of what is visible, float32 (FINE, FINE), smooth elsewhere; and where it is, bool."""
    import cv2

    grey = cv2.cvtColor(_area(photo.astype(np.float32) * visible[:, :, None], FINE), cv2.COLOR_RGB2GRAY)
    shares = _area(visible.astype(np.float32), FINE)
    seen = shares > 0.999
    grey /= np.maximum(shares, 1e-6)
    mean = grey[seen].mean() if seen.any() else 0
    smooth = _blurred(grey, BAND[1], seen)
    near = cv2.GaussianBlur(seen.astype(np.float32), (0, 0), BAND[1])
    return np.where(seen, grey, np.where(near > 1e-3, smooth, mean)).astype(np.float32), seen


def _blurred(grey: np.ndarray, sigma: float, visible: np.ndarray | None) -> np.ndarray:
    """Return a picture after a Gaussian, which sees visible pixels alone."""
    import cv2

    if visible is None:
        return cv2.GaussianBlur(grey, (0, 0), sigma)
    shares = visible.astype(np.float32)
    sums = cv2.GaussianBlur(np.where(visible, grey, np.float32(0)), (0, 0), sigma)
    return sums / np.maximum(cv2.GaussianBlur(shares, (0, 0), sigma), 1e-3)


def _detail(grey: np.ndarray, visible: np.ndarray | None) -> np.ndarray:
    """Return the band-passed picture over its local contrast, without its edge."""
    low, high = (_blurred(grey, sigma, visible) for sigma in BAND)
    band = low - high
    contrast = np.sqrt(_blurred(band * band, LOCAL, visible) + NO_DETAIL**2)
    return (band / contrast)[EDGE:-EDGE, EDGE:-EDGE]


def _correlation(still: np.ndarray, moved: np.ndarray, visible: np.ndarray | None) -> float:
    """Return the correlation of the detail of two pictures where it is visible; 0 where one of them hardly has any."""
    a, b = _detail(still, visible), _detail(moved, visible)
    if visible is not None:
        inner = visible[EDGE:-EDGE, EDGE:-EDGE]
        if np.count_nonzero(inner) < MIN_VISIBLE:
            return 0.0
        a, b = a[inner], b[inner]
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum()) / scale if scale > 1e-4 * a.size else 0.0
