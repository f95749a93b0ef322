"""Holes drawn on the device keep the limits of the strategies in `ce_retrieval.holes.strategies`."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ce_retrieval.errors import SettingsError, TrainingError  # noqa: E402
from ce_retrieval.holes.strategies import DEFAULT_HOLES, center_holes  # noqa: E402
from ce_retrieval.training.holes import HoleMaker, shape_bank  # noqa: E402

CPU = torch.device("cpu")


def drawn(strategy, size=64, batch=200, seed=0, **options):
    return HoleMaker(strategy, size, CPU, **options).draw(batch, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [32, 64, 227])
def test_centre_is_that_of_the_masks_module(size):
    np.testing.assert_array_equal(drawn("center", size, 2).numpy(), center_holes(2, size))


def test_the_margin_shrinks_the_centre():
    holes = drawn("center", 128, 1, margin=7)
    assert int(holes.sum()) == 50 * 50 and bool(holes[0, 39, 39]) and not bool(holes[0, 38, 60])


@pytest.mark.parametrize("strategy", ["block", "region", "mixed"])
@pytest.mark.parametrize("size", [64, 67])
def test_holes_keep_their_limits_differ_and_follow_the_seed(strategy, size):
    holes = drawn(strategy, size)
    shares = holes.float().mean(dim=(1, 2))
    assert shares.max() <= DEFAULT_HOLES.max_share and shares.min() > 0
    if strategy == "region":
        assert shares.min() >= DEFAULT_HOLES.region_min_share * 0.95
        assert shares.std() > 0.03
    assert len(torch.unique(holes.flatten(1).byte(), dim=0)) > (110 if strategy == "mixed" else 190)
    assert torch.equal(holes, drawn(strategy, size))
    assert not torch.equal(holes, drawn(strategy, size, seed=1))
    # Everywhere in the photo is missing now and then.
    assert (holes.float().mean(0) > 0).float().mean() > 0.95


def test_blocks_are_unions_of_rectangles_in_the_stated_sides():
    from scipy.ndimage import find_objects, label

    single = 0
    for hole in drawn("block", 128).numpy():
        parts, count = label(hole)
        boxes = find_objects(parts)
        if count == 1 and hole[boxes[0]].all():
            single += 1
            sides = [axis.stop - axis.start for axis in boxes[0]]
            assert min(sides) >= 16
    assert 10 < single < 150


def test_mixed_gives_each_strategy_a_third():
    holes = drawn("mixed", 64, 600)
    centre = torch.from_numpy(center_holes(1, 64))
    share = (holes == centre).all(dim=2).all(dim=1).float().mean()
    assert 0.25 < share < 0.42


def test_the_mix_sets_the_chances_of_the_strategies():
    def centres(mix):
        holes = drawn("mixed", 64, 600, mix=mix)
        return float((holes == torch.from_numpy(center_holes(1, 64))).all(dim=2).all(dim=1).float().mean())

    assert 0.53 < centres((3.0, 1.0, 1.0)) < 0.67
    assert centres((0.0, 1.0, 1.0)) == 0 and centres((1.0, 0.0, 0.0)) == 1


def test_none_has_no_hole():
    assert not drawn("none").any()


def test_given_shapes_are_used():
    bar = np.zeros((10, 100), bool)
    bar[:, 5:95] = True
    bank = shape_bank([bar])
    assert bank.shape == (1, 1, 96, 96) and 0.05 < float(bank.mean()) < 0.12
    holes = drawn("region", 96, 50, bank=bank).numpy()
    # A bar is far longer than wide, a blob is not: compare the principal spreads of single shapes.
    ratios = []
    for hole in holes:
        places = np.argwhere(hole).astype(float)
        spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(places.T)), 1e-9))
        ratios.append(spread[1] / spread[0])
    assert np.max(ratios) > 4


def test_useless_shapes_and_strategies_are_named():
    with pytest.raises(TrainingError, match="no shape is visible at 96 x 96 px"):
        shape_bank([np.zeros((5, 5), bool)])
    with pytest.raises(SettingsError, match="choose one of center, block"):
        HoleMaker("stars", 64, CPU)
