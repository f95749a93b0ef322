import numpy as np
import pytest

from ce_retrieval.completion.scenes.template_match import MaskedMatch


@pytest.mark.parametrize("level", [0.0, 60.0])
def test_rounding_of_the_transform_is_within_its_bound(level):
    rng = np.random.default_rng(15)
    mask = rng.random((40, 50)) < 0.6
    template = (rng.normal(size=(4, 40, 50)) * 20 * mask).astype(np.float32)
    image = (rng.normal(size=(4, 97, 121)) * 20 + level).astype(np.float32)
    match = MaskedMatch(template, mask)
    planes = match.planes((97, 121))
    planes[:4, :97, :121] = image
    errors, doubt = match.errors(planes, (97, 121))
    windows = np.lib.stride_tricks.sliding_window_view(image.astype(np.float64), (40, 50), axis=(1, 2))
    expected = sum(np.square(windows[c][:, :, mask] - template[c][mask]).sum(axis=-1) for c in range(4)) / mask.sum()
    assert errors.shape == expected.shape == (58, 72)
    assert np.abs(errors - expected).max() < doubt / 2
    assert doubt < 1e-4 * expected.min()
