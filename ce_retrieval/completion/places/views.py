"""Which other photos show the same place as a photo with a hole: those that share planes with it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from threading import Lock
from typing import NamedTuple

from ce_retrieval.completion.stages import PLACES, tell
from ce_retrieval.errors import PhotoError, SamePhotoError
from ce_retrieval.pixels import Bools, Photo
from ce_retrieval.places.local_features import LocalFeatures, local_features
from ce_retrieval.places.matching import matches
from ce_retrieval.places.planes import Plane, planes
from ce_retrieval.retrieval.neighbor import Neighbor

ROUGH = (480, 800)  # px of the long side, and keypoints at most, of a first look
FINE = (1200, 4000)  # the same, for the matches that are used
LEAST_ROUGH = 8  # matches on one plane at the first look
PLANES = 4  # of two photos, at most
HELD = 256  # photos whose features are kept: about 0.5 to 2 MB each

Features = tuple[int, int]
# Reads a scene uint8 (h, w, 3); raises PhotoError where it cannot be read, SamePhotoError where it must not be used.
Open = Callable[[Neighbor], Photo]


class View(NamedTuple):
    """Another photo of the same place.

    Attributes
    ----------
    neighbor : what is known of it.
    photo : uint8 (h, w, 3), at its own size.
    features : its local features.
    planes : that it shares with the photo, those with the most matches first: one or more.
    """

    neighbor: Neighbor
    photo: Photo
    features: LocalFeatures
    planes: Sequence[Plane]

    @property
    def inliers(self) -> int:
        """Matches on all planes."""
        return sum(plane.inliers for plane in self.planes)


class Found(NamedTuple):
    """The views among some photos.

    Attributes
    ----------
    views : those with the most matches first.
    lost : a line for each photo that cannot be read.
    copies : names of the photos that are the photo itself or copies of it.
    """

    views: list[View]
    lost: list[str]
    copies: list[str]


class FeatureCache:
    """The local features of scenes, kept while many photos are filled. Threads may share it."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[str, Features], LocalFeatures] = OrderedDict()
        self._lock = Lock()

    def of(self, neighbor: Neighbor, photo: Photo, what: Features) -> LocalFeatures:
        """Return the features of a scene uint8 (h, w, 3)."""
        key = neighbor.record.sha256, what
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        found = local_features(photo, side=what[0], most=what[1])
        with self._lock:
            self._held[key] = found
            while len(self._held) > HELD:
                self._held.popitem(last=False)
        return found


class ViewFinder:
    """Finds the views of one photo's place.

    Parameters
    ----------
    photo, hole : uint8 (H, W, 3) and bool (H, W), True = missing; nothing under the hole is looked at.
    cache : of the other photos' features.
    """

    def __init__(self, photo: Photo, hole: Bools, cache: FeatureCache) -> None:
        self._photo, self._hole, self._cache = photo, hole, cache
        self._lock = Lock()

    @cached_property
    def rough(self) -> LocalFeatures:
        """The photo's own features, of a first look."""
        return local_features(self._photo, self._hole, side=ROUGH[0], most=ROUGH[1])

    @cached_property
    def fine(self) -> LocalFeatures:
        """The photo's own features, for the matches that are used."""
        return local_features(self._photo, self._hole, side=FINE[0], most=FINE[1])

    def among(self, close: Sequence[Neighbor], far: Sequence[Neighbor], opened: Open, workers: int) -> Found:
        """Return the views among some photos.

        close : photos that are looked at closely at once, since much speaks for them.
        far : photos of which a first look chooses those that are.
        """
        # Before threads ask for it.
        _ = self.fine if close else None
        _ = self.rough if far else None
        trusted = {neighbor.id for neighbor in close}
        found = Found([], [], [])

        def look(neighbor: Neighbor) -> View | PhotoError | None:
            try:
                return self._view(neighbor, opened(neighbor), trusted=neighbor.id in trusted)
            except PhotoError as error:
                return error

        with ThreadPoolExecutor(workers) as pool:
            for number, one in enumerate(pool.map(look, (*close, *far))):
                tell(PLACES, number, len(trusted) + len(far))
                if isinstance(one, View):
                    found.views.append(one)
                elif isinstance(one, SamePhotoError):
                    found.copies.append(str(one))
                elif one is not None:
                    found.lost.append(str(one))
        found.views.sort(key=lambda view: -view.inliers)
        return found

    def _view(self, neighbor: Neighbor, photo: Photo, *, trusted: bool) -> View | None:
        size = photo.shape[0], photo.shape[1]
        if not trusted:
            rough = matches(self.rough, self._cache.of(neighbor, photo, ROUGH))
            best = planes(rough, size, 1, least=LEAST_ROUGH)
            if not best:
                return None
        with self._lock:
            mine = self.fine
        theirs = self._cache.of(neighbor, photo, FINE)
        shared = planes(matches(mine, theirs), size, PLANES)
        return View(neighbor, photo, theirs, shared) if shared else None
