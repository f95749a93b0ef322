"""Batches are a pure function of (seed, step), and hold what they should."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ce_retrieval.errors import SettingsError, TrainingError  # noqa: E402
from ce_retrieval.training.data import Batches, Feed, Order, split_photos  # noqa: E402
from ce_retrieval.training.holes import hole_maker  # noqa: E402
from ce_retrieval.training.team import Team  # noqa: E402

CPU = torch.device("cpu")


def batches(config, photos, team=None, **options):
    return Batches(photos, config, hole_maker(config, CPU), CPU, team or Team(), **options)


def test_an_epoch_shows_every_photo_once():
    order = Order(25, 5, seed=3)
    first = np.concatenate([order.rows(step, CPU) for step in range(5)])
    second = np.concatenate([order.rows(step, CPU) for step in range(5, 10)])
    assert sorted(first) == sorted(second) == list(range(25))
    assert list(first) != list(second)
    np.testing.assert_array_equal(Order(25, 5, seed=3).rows(7, CPU), order.rows(7, CPU))


def test_steps_can_be_drawn_in_any_order(tiny_config, photos):
    config = tiny_config()
    there, again = batches(config, photos), batches(config, photos)
    drawn = [there.draw(step) for step in range(4)]
    for step in (3, 0, 2):
        for one, other in zip(drawn[step], again.draw(step), strict=True):
            assert torch.equal(one, other)
    assert not torch.equal(drawn[0][1], drawn[1][1])


def test_processes_share_one_batch(tiny_config, photos):
    config = tiny_config()
    whole = batches(config, photos).draw(5)
    parts = [batches(config, photos, Team(rank, 2)).draw(5) for rank in range(2)]
    for number, one in enumerate(whole):
        assert torch.equal(one, torch.cat([part[number] for part in parts]))


def test_a_crop_is_a_window_of_its_photo(tiny_config, photos):
    config = tiny_config(view=0.8, flip=False, jitter=0.0)
    assert round(config.view * photos.size) == config.network.size
    made = batches(config, photos)
    windows = np.lib.stride_tricks.sliding_window_view(photos.pixels, (32, 32), axis=(1, 2))
    found = 0
    for step in range(12):
        side = int(np.random.default_rng([config.seed, 1, step]).integers(32, 41))
        crops, _ = made.draw(step)
        if side != 32:
            continue
        values = crops.add(1).mul(127.5).round().to(torch.uint8).numpy()
        for row, crop in zip(made.order.rows(step, CPU), values, strict=True):
            assert (windows[row] == crop).all(axis=(2, 3, 4)).sum() == 1
            found += 1
    assert found


def test_a_whole_view_is_the_resized_photo(tiny_config, photos):
    from PIL import Image

    config = tiny_config(view=1.0, flip=False, jitter=0.0)
    made = batches(config, photos)
    crops = made.draw(0)[0].add(1).mul(127.5).permute(0, 2, 3, 1).numpy()
    for row, crop in zip(made.order.rows(0, CPU), crops, strict=True):
        resized = np.asarray(Image.fromarray(photos.pixels[row]).resize((32, 32), Image.Resampling.BILINEAR))
        # Both round to uint8 between the two axes, Pillow to more bits.
        assert np.abs(crop - resized).max() < 2.1 and np.abs(crop - resized).mean() < 0.5


def test_flips_and_colours_vary_and_stay_in_range(tiny_config, photos):
    plain = batches(tiny_config(flip=False, jitter=0.0), photos).draw(0)[0]
    flipped = batches(tiny_config(flip=True, jitter=0.0), photos).draw(0)[0]
    same = [torch.equal(a, b) for a, b in zip(plain, flipped, strict=True)]
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(plain, flipped, strict=True)]
    assert any(same) and any(mirrored) and all(a or b for a, b in zip(same, mirrored, strict=True))
    coloured = batches(tiny_config(flip=False, jitter=0.2), photos).draw(0)[0]
    assert coloured.abs().max() <= 1 and (coloured - plain).abs().mean() > 0.01
    assert coloured.is_contiguous(memory_format=torch.channels_last)


def test_streamed_photos_are_the_resident_ones(tiny_config, photos):
    config = tiny_config()
    resident, streamed = batches(config, photos), batches(config, photos, resident=False)
    try:
        for step in (0, 1, 2, 7):
            assert torch.equal(resident.draw(step)[0], streamed.draw(step)[0])
    finally:
        streamed.close()
    assert isinstance(streamed.feed, Feed) and not streamed.feed.resident


def test_bad_collections_are_named(tiny_config, photos):
    with pytest.raises(SettingsError, match="`batch` is 64, but only 40 photos are left to train on: use 40 or less"):
        batches(tiny_config(batch=64), photos)
    from dataclasses import replace

    small = replace(photos, pixels=photos.pixels[:, :24, :24])
    with pytest.raises(TrainingError, match="24 px are smaller than the crop of 32: use `size` 40"):
        batches(tiny_config(), small)
    with pytest.raises(SettingsError, match="`batch` is 8: expected a multiple of 3"):
        batches(tiny_config(), photos, Team(0, 3))


def test_the_split_is_disjoint_whole_and_seeded(photos):
    train, held = split_photos(photos, 0)
    assert len(held) == 8 and set(train.keys) | set(held.keys) == set(photos.keys)
    assert not set(train.keys) & set(held.keys)
    for part in (train, held):
        for key, pixels in zip(part.keys, part.pixels, strict=True):
            np.testing.assert_array_equal(pixels, photos.pixels[photos.keys.index(key)])
    assert split_photos(photos, 1)[1].keys != held.keys
    with pytest.raises(TrainingError, match="too few"):
        split_photos(train.__class__(photos.pixels[:10], photos.keys[:10], photos.labels[:10], "x"), 0)
