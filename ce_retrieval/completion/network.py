"""Completion by a network alone: the decoder's own fill, for any hole and photos of any size.

Pathak et al. 2016, section 3, there for photos of the network's size. Here a photo is brought to that size, and the
prediction back to the photo's, so that no known pixel is touched; blends follow Perez et al. 2003 (`poisson`).
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ce_retrieval.completion.blend.paste import Blender, box_around, insert
from ce_retrieval.completion.rerank.rim import rim_of
from ce_retrieval.completion.result import Completion, only
from ce_retrieval.completion.settings import DECODER_FILLS, DecoderSettings
from ce_retrieval.completion.working_size import resize_values
from ce_retrieval.errors import CeretError, CheckpointError, MaskError
from ce_retrieval.holes.strategies import resize_hole
from ce_retrieval.photo_index import Origins
from ce_retrieval.retrieval.query import check_query, square_query

ROUNDING = 1  # px by which a hole may leave the part that a network predicts, where the photo had to be resized


class DecoderFill:
    """A network's predictions under holes.

    weights: a file, None for those of the package. CeretError without torch; CheckpointError for a missing or bad file.
    size: side of the photos that the network takes; about: path, sha256, architecture and size, as JSON types.
    """

    def __init__(self, weights: str | None = None) -> None:
        from ce_retrieval.models.shipped import load_weights

        loaded = load_weights(weights)
        self._network = loaded.network
        self.size: int = self._network.config.size
        self.about: dict[str, Any] = {
            "path": str(loaded.path),
            "sha256": loaded.sha256,
            "architecture": self._network.config.architecture,
            "size": self.size,
        }

    def square(
        self, photo: np.ndarray, hole: np.ndarray, made: tuple[np.ndarray, np.ndarray] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a photo uint8 (H, W, 3) and its hole (H, W) at the network's size.

        made: what `square_query` has made of them already, taken where it has that size. MaskError where the hole leaves
        the network nothing to see, or reaches outside what it predicts.
        """
        if made is None or made[1].shape != (self.size, self.size):
            made = square_query(photo, hole, self.size)
        self._check(made[1], resized=hole.shape != made[1].shape)
        return made

    def check(self, hole: np.ndarray) -> None:
        """Raise the MaskError of `square` where a hole bool (H, W) deserves it."""
        resized = hole.shape != (self.size, self.size)
        self._check(resize_hole(hole, self.size) if resized else hole, resized=resized)

    def predict(self, photos: np.ndarray, holes: np.ndarray, *, mirror: bool = False) -> np.ndarray:
        """Return the raw predictions float32 (B, S, S, 3) for photos and holes of `square`: see `predict_photos`.

        In float32, so that a prediction hangs on the batch about it by rounding alone.
        """
        from ce_retrieval.models.inference import predict_photos

        return predict_photos(self._network, photos, holes, mirror=mirror, fast=False)

    def fills(self, queries: Sequence[tuple[np.ndarray, np.ndarray]], size: int, *, mirror: bool = False) -> np.ndarray:
        """Return photos of `square` with their holes filled, brought to size x size: float32 (B, size, size, 3) in [0, 1].

        All go through the network in one call.
        """
        photos, holes = (np.stack(arrays) for arrays in zip(*queries, strict=True))
        composed = compose(photos, holes, self.predict(photos, holes, mirror=mirror))
        return np.stack([resize_values(photo, (size, size)) for photo in composed])

    def _check(self, hole: np.ndarray, *, resized: bool) -> None:
        from ce_retrieval.models.inference import predicted_part

        if hole.all():
            raise MaskError("the hole leaves the encoder nothing to see at its size: use a smaller hole")
        part = predicted_part(self._network)
        if resized and not part.all():
            part |= rim_of(part, ROUNDING)
        if (hole & ~part).any():
            name = self.about["architecture"]
            raise MaskError(f"the hole reaches outside the central half, all that {name} predicts: use other weights")


def compose(photos: np.ndarray, holes: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return photos uint8 (B, S, S, 3) with predictions float32 in their holes: float32 in [0, 1]."""
    return np.where(holes[..., None], predicted.clip(0, 1), photos.astype(np.float32) / np.float32(255))


class DecoderCompleter:
    """Completes photos by a network alone; used as a `Completer` is. workers: threads that resize and blend."""

    about: dict[str, Any] | None = None

    def __init__(self, settings: DecoderSettings | None = None, *, workers: int | None = None) -> None:
        self.settings = settings or DecoderSettings()
        if self.settings.fill not in DECODER_FILLS:
            known = ", ".join(DECODER_FILLS)
            raise CheckpointError(f"the encoder has no fill {self.settings.fill!r}: choose one of {known}")
        self.workers = workers or os.cpu_count() or 1
        self._decoder = DecoderFill(self.settings.weights)
        self.network: dict[str, Any] | None = self._decoder.about
        self._blender = Blender()

    def complete(self, photo: np.ndarray, hole: np.ndarray) -> Completion:
        """Fill the hole bool (H, W) of a photo uint8 (H, W, 3). MaskError, PhotoError as `check_query` and `DecoderFill`."""
        return only(self.complete_many([photo], [hole]))

    def complete_many(
        self,
        photos: Sequence[np.ndarray],
        holes: Sequence[np.ndarray],
        *,
        candidate_fills: bool = False,
        origins: Origins = None,
    ) -> list[Completion | CeretError]:
        """Complete several photos, predicted as one batch; an error of one takes its place and spares the others.

        candidate_fills: CheckpointError, for a network has no candidates. origins: as of other completers, and of no use
        here: a network has nothing to leave out.
        """
        if candidate_fills:
            raise CheckpointError(
                "the encoder has no candidates to fill from: leave that out, or complete by retrieval"
            )
        results: list[Completion | CeretError | None] = [None] * len(photos)
        squares: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for number, (photo, hole) in enumerate(zip(photos, holes, strict=True)):
            try:
                check_query(photo, hole)
                squares[number] = self._decoder.square(photo, hole)
            except CeretError as error:
                results[number] = error
        if not squares:
            return [result for result in results if result is not None]
        batch, missing = (np.stack(arrays) for arrays in zip(*squares.values(), strict=True))
        predicted = self._decoder.predict(batch, missing, mirror=self.settings.mirror)
        if self.settings.fill == "paste":
            # Beside the hole a prediction is no part of the fill: there the photo itself is what a resize mixes in.
            predicted = compose(batch, missing, predicted)

        def finish(place: int) -> None:
            number = list(squares)[place]
            try:
                results[number] = self._fill(photos[number], holes[number], predicted[place])
            except CeretError as error:
                results[number] = error

        with ThreadPoolExecutor(self.workers) as pool:
            list(pool.map(finish, range(len(squares))))
        return [result for result in results if result is not None]

    def _fill(self, photo: np.ndarray, hole: np.ndarray, predicted: np.ndarray) -> Completion:
        y0, x0, y1, x1 = box_around(hole)
        inner = (slice(y0, y1), slice(x0, x1))
        fill = resize_values(predicted, (hole.shape[0], hole.shape[1]))[inner]
        if self.settings.fill == "blend":
            fill = self._blender.blend(fill, photo[inner], hole[inner])
        return Completion(
            best=insert(photo, hole, inner, fill),
            hole=hole,
            candidates=(),
            neighbors=(),
            settings=self.settings,
            index=None,
            network=self.network,
            method="encoder",
        )
