"""What all methods of completion share: one photo or many, errors in place, threads."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from ce_retrieval.completion.methods import METHODS
from ce_retrieval.completion.result import Completion
from ce_retrieval.completion.stages import Progress, listener, telling
from ce_retrieval.errors import CeretError, SettingsError
from ce_retrieval.photo_index import Origin, Origins
from ce_retrieval.pool import worker_pool
from ce_retrieval.settings import WORKERS

Ready = TypeVar("Ready")


class Completer(ABC, Generic[Ready]):
    """Fills the holes of photos by one method.

    Attributes
    ----------
    method : the method's name in `completion.methods`.
    settings : a dataclass of `completion.settings`, with everything resolved that the index decides.
    workers : threads in all: the photos of a batch go in parallel, and a photo on its own may use all of them.
    about, others, network : what results say of the index, of other photos of the place, and of the network's weights, as
        JSON types; None: none is used.
    notes : what the user should know of all results: (path, line) each.
    """

    method: ClassVar[str]
    about: dict[str, Any] | None = None
    others: dict[str, Any] | None = None
    network: dict[str, Any] | None = None
    notes: Sequence[tuple[str, str]] = ()

    def __init__(self, settings: Any, workers: int | None) -> None:
        if workers is not None:
            WORKERS.check("`workers`", workers)
        self.settings = settings
        self.workers = workers or os.cpu_count() or 1

    def complete(
        self,
        photo: np.ndarray,
        hole: np.ndarray,
        *,
        candidate_fills: bool = False,
        origin: Origin | None = None,
        progress: Progress | None = None,
    ) -> Completion:
        """Fill the hole of one photo; parameters as in `complete_many`.

        Raises
        ------
        PhotoError, MaskError : the arrays are not a photo and its hole, or nothing can fill it; the method's own errors.
        """
        (result,) = self.complete_many(
            [photo], [hole], candidate_fills=candidate_fills, origins=[origin], progress=progress
        )
        if isinstance(result, CeretError):
            raise result
        return result

    def complete_many(
        self,
        photos: Sequence[np.ndarray],
        holes: Sequence[np.ndarray],
        *,
        candidate_fills: bool = False,
        origins: Origins = None,
        progress: Progress | None = None,
    ) -> list[Completion | CeretError]:
        """Fill the holes of several photos.

        Parameters
        ----------
        photos : uint8 (H, W, 3) each, of any sizes.
        holes : bool (H, W) each, True = missing.
        candidate_fills : also fill the photo from each candidate alone (`Completion.fills`).
        origins : the photos' files, by which their copies are known; the setting `exclude_same_source` needs them.
        progress : called with (stage, done, in all) as the work goes on, by one thread a photo (`stages`). What it raises ends
            the work, and is raised here: so a user may stop it.

        Returns
        -------
        A completion for each photo, or in its place the error that it met; one error spares the other photos.

        Raises
        ------
        SettingsError : candidate fills were asked of a method that has none.
        """
        if candidate_fills and not METHODS[self.method].has_candidates:
            raise SettingsError(
                f"`method` {self.method} makes one fill and has no candidates: leave `candidate_fills` out"
            )
        told = progress or listener()  # of a completer that calls this one
        with telling(told):
            results: list[Any] = list(self._prepare(photos, holes, origins or [None] * len(photos)))
        ready = [number for number, result in enumerate(results) if not isinstance(result, CeretError)]
        at_once = max(1, min(self.workers, len(photos)))

        def fill(number: int) -> None:
            try:
                with telling(told):
                    results[number] = self._fill(results[number], candidate_fills, max(1, self.workers // at_once))
            except CeretError as error:
                results[number] = error

        with worker_pool(at_once) as pool:
            list(pool.map(fill, ready))
        return results

    @abstractmethod
    def _prepare(
        self, photos: Sequence[np.ndarray], holes: Sequence[np.ndarray], origins: Sequence[Origin | None]
    ) -> Sequence[Ready | CeretError]:
        """Do what is done for a whole batch at once (search, predict); return what `_fill` needs, or an error, for each."""

    @abstractmethod
    def _fill(self, ready: Ready, candidate_fills: bool, workers: int) -> Completion:
        """Fill one photo on this many threads."""
