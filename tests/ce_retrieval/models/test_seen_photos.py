"""The signatures of training photos: what they survive, and what they tell apart."""

import io

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.errors import CheckpointError
from ce_retrieval.models import seen_photos as module
from ce_retrieval.models.seen_photos import SEEN, read_seen, signatures, were_seen, write_seen


def squares(photos, side=128):
    """Parts of photos, uint8 (N, side, side, 3)."""
    return np.stack(
        [
            photo[y : y + side, x : x + side]
            for photo in photos
            for y in range(0, photo.shape[0] - side, 40)
            for x in range(0, photo.shape[1] - side, 40)
        ]
    )


def written_again(photo, side, quality):
    buffer = io.BytesIO()
    Image.fromarray(photo).resize((side, side), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


@pytest.fixture(scope="module")
def parts(bundled_photos):
    return squares(bundled_photos[:3])


@pytest.mark.parametrize(("side", "quality"), [(64, 95), (100, 60), (144, 80)])
def test_photos_of_another_size_and_quality_are_found_and_others_are_not(parts, side, quality):
    known = parts[::2]
    asked = signatures(np.stack([written_again(photo, side, quality) for photo in parts]))
    found = were_seen(asked, signatures(known))
    assert found[::2].all() and not found[1::2].any()


def test_parts_of_a_comparison_change_nothing(parts, monkeypatch):
    asked, seen = signatures(parts), signatures(parts[3:7])
    whole = were_seen(asked, seen)
    monkeypatch.setattr(module, "AT_ONCE", 9)
    np.testing.assert_array_equal(were_seen(asked, seen), whole)
    assert np.flatnonzero(whole).tolist() == [3, 4, 5, 6]
    assert not were_seen(asked, seen[:0]).any() and were_seen(asked[:0], seen).shape == (0,)


def test_the_file_beside_the_weights(tmp_path, parts):
    assert read_seen(tmp_path / "some.safetensors") is None
    write_seen(tmp_path, parts)
    np.testing.assert_array_equal(read_seen(tmp_path / "some.safetensors"), signatures(parts))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cannot be read"),
        (b"\x93NUMPY\x01", "cannot be read"),
        (np.zeros((4, 16), np.int16), "holds int16"),
        (np.zeros((4, 8), np.uint8), r"holds uint8 \(4, 8\)"),
        (np.array([{}]), "cannot be read"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, told):
    if isinstance(content, bytes):
        (tmp_path / SEEN).write_bytes(content)
    else:
        np.save(tmp_path / SEEN, content, allow_pickle=True)
    with pytest.raises(CheckpointError, match=f"{SEEN} {told}"):
        read_seen(tmp_path / "some.safetensors")
