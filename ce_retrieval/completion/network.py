"""Method `network`: a network's prediction alone, for any hole and photos of any size.

D. Pathak et al., "Context Encoders", CVPR 2016, section 3, there for photos of the network's size. Here a photo is brought to
that size and the prediction back to the photo's, so that no known pixel changes. Blends follow Perez et al. 2003
(`blend.poisson`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ce_retrieval.completion.blend.paste import Blender, insert
from ce_retrieval.completion.completer import Completer
from ce_retrieval.completion.result import Completion
from ce_retrieval.completion.settings import NetworkSettings
from ce_retrieval.completion.stages import NETWORK, tell
from ce_retrieval.errors import CeretError
from ce_retrieval.models.network_fill import NetworkFill, compose
from ce_retrieval.photo_index import Origin
from ce_retrieval.pixels import crop, hole_box, resize
from ce_retrieval.retrieval.query import check_query, square_query


def network_query(network: NetworkFill, photo: np.ndarray, hole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a photo uint8 (H, W, 3) and its hole bool (H, W) at the network's size.

    MaskError, PhotoError as `check_query` and `NetworkFill.check`.
    """
    check_query(photo, hole)
    square = square_query(photo, hole, network.size)
    network.check(square[1], resized=hole.shape != square[1].shape)
    return square


class _Predicted(NamedTuple):
    photo: np.ndarray
    hole: np.ndarray
    prediction: np.ndarray


class NetworkCompleter(Completer[_Predicted]):
    """Completes photos by a network alone.

    Parameters
    ----------
    settings : None for the defaults.
    workers : threads that resize and blend; None for all cores.

    Raises
    ------
    CheckpointError, CeretError : weights or torch are missing.
    """

    method = "network"

    def __init__(self, settings: NetworkSettings | None = None, *, workers: int | None = None) -> None:
        super().__init__(settings or NetworkSettings(), workers)
        self._network = NetworkFill(self.settings.weights)
        self.network = self._network.about
        self._blender = Blender()

    def _prepare(
        self, photos: Sequence[np.ndarray], holes: Sequence[np.ndarray], origins: Sequence[Origin | None]
    ) -> Sequence[_Predicted | CeretError]:
        """Predict all photos as one batch."""
        results: list[Any] = [None] * len(photos)
        squares: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for number, (photo, hole) in enumerate(zip(photos, holes, strict=True)):
            try:
                squares[number] = network_query(self._network, photo, hole)
            except CeretError as error:
                results[number] = error
        if not squares:
            return results
        tell(NETWORK)
        batch, missing = (np.stack(arrays) for arrays in zip(*squares.values(), strict=True))
        predicted = self._network.predict(batch, missing, mirror=self.settings.mirror)
        if self.settings.fill == "paste":
            # The resize to the photo's size mixes in what lies beside the hole: that should be the photo.
            predicted = compose(batch, missing, predicted)
        for number, prediction in zip(squares, predicted, strict=True):
            results[number] = _Predicted(photos[number], holes[number], prediction)
        return results

    def _fill(self, ready: _Predicted, candidate_fills: bool, workers: int) -> Completion:
        photo, hole, prediction = ready
        inner = crop(hole_box(hole, margin=1))
        fill = resize(prediction, (hole.shape[0], hole.shape[1]))[inner]
        if self.settings.fill == "blend":
            fill = self._blender.blend(fill, photo[inner], hole[inner])
        return Completion(
            best=insert(photo, hole, inner, fill),
            hole=hole,
            settings=self.settings,
            method=self.method,
            network=self.network,
        )
