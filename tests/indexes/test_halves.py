"""float16 to float32, for every finite number there is."""

import numpy as np

from indexes.halves import widen


def test_every_finite_number_is_exact():
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    assert len(halves) == 2 * 31 * 1024
    wide, expected = widen(halves), halves.astype(np.float32)
    assert wide.dtype == np.float32
    np.testing.assert_array_equal(wide.view(np.uint32), expected.view(np.uint32))  # bits: -0 is not 0


def test_any_layout_and_shape():
    halves = np.random.default_rng(0).standard_normal((6, 5, 4)).astype(np.float16)
    for some in (halves, halves[::2, :, 1:3], halves.transpose(2, 0, 1), halves[:0]):
        np.testing.assert_array_equal(widen(some), some.astype(np.float32))
        assert widen(some).flags.c_contiguous
