"""Patches of resized scenes."""

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.completion.blend.paste import scene_patch


@pytest.mark.parametrize("scene_shape", [(96, 96), (300, 211), (17, 40), (64, 500)])
@pytest.mark.parametrize("shape", [(96, 96), (57, 140), (33, 20)])
def test_a_patch_is_part_of_the_resized_scene(bundled_photos, scene_shape, shape):
    scene = np.ascontiguousarray(bundled_photos[0][: scene_shape[0], : scene_shape[1]])
    whole = np.asarray(Image.fromarray(scene).resize(shape[::-1], Image.Resampling.BICUBIC))
    height, width = shape
    for box in (
        (0, 0, height, width),
        (3, 5, height - 2, width - 1),
        (0, 4, 7, 9),
        (height - 4, width - 3, height, width),
    ):
        y0, x0, y1, x1 = box
        np.testing.assert_array_equal(scene_patch(scene, shape, box), whole[y0:y1, x0:x1])
