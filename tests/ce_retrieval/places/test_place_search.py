"""Codes of local features, their files, and the search: what a hole hides has no influence; views that are turned are found."""

import itertools

import cv2
import numpy as np
import pytest

from ce_retrieval.errors import CheckpointError
from ce_retrieval.places import search
from ce_retrieval.places.codes import (
    CELLS,
    NO_FEATURES,
    SCALE_STEPS,
    CodedFeatures,
    load_codes,
    scale_bytes,
    shipped_codes,
)
from ce_retrieval.places.inverted_file import NOT_DESCRIBED, inverted_bytes, open_inverted
from ce_retrieval.places.local_features import local_features


class Places:
    """Photos to be searched, in files of at most three."""

    def __init__(self, folder, photos):
        self.place_codes = shipped_codes()
        coded = [self.place_codes.code(local_features(photo, side=640, most=300)) for photo in photos]
        self.count, self.files = len(coded), []
        for start in range(0, self.count, 3):
            path = folder / f"{start}.safetensors"
            path.write_bytes(inverted_bytes(coded[start : start + 3]))
            self.files.append((open_inverted(path), np.arange(start, min(start + 3, self.count))))

    def __len__(self):
        return self.count

    def place_files(self):
        return iter(self.files)


def turned(photo, degrees, scale):
    """A photo turned about its vertical axis, seen in perspective, and a little about the line of sight."""
    height, width = photo.shape[:2]
    turn, _ = cv2.Rodrigues(np.deg2rad([0.0, degrees, 8.0]))
    plane = np.column_stack([turn[:, 0] / width, turn[:, 1] / width, [0, 0, 1]])
    camera = np.array([[scale * width, 0, width / 2], [0, scale * width, height / 2], [0, 0, 1]])
    centre = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    return cv2.warpPerspective(photo, camera @ plane @ centre, (width, height), flags=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def places(bundled_photos, tmp_path_factory):
    return Places(tmp_path_factory.mktemp("places"), [turned(photo, 25, 0.8) for photo in bundled_photos])


def a_hole(photo, share=0.2):
    height, width = photo.shape[:2]
    hole = np.zeros((height, width), bool)
    hole[height // 3 : height // 3 + int(share * height), width // 3 : width // 3 + int(share * width)] = True
    return hole


def test_a_view_that_is_turned_and_scaled_is_found(places, bundled_photos):
    for number, photo in enumerate(bundled_photos):
        votes = search.place_votes(places, photo, a_hole(photo))
        assert votes.argmax() == number and votes.shape == (4,)
        assert votes[number] > 3 * np.delete(votes, number).max()


def test_what_is_under_the_hole_has_no_influence(places, bundled_photos):
    for photo, other in itertools.pairwise(bundled_photos):
        hole = a_hole(photo)
        changed = photo.copy()
        changed[hole] = np.resize(other, (*photo.shape[:2], 3))[hole]
        expected = search.place_votes(places, photo, hole)
        assert expected.any() and (changed != photo).any()
        np.testing.assert_array_equal(search.place_votes(places, changed, hole), expected)


def test_features_that_are_known_have_the_same_votes(places, bundled_photos):
    photo, hole = bundled_photos[2], a_hole(bundled_photos[2])
    found = search.feature_votes(places, search.query_features(photo, hole))
    np.testing.assert_array_equal(found, search.place_votes(places, photo, hole))


def test_what_is_shown_has_influence(places, bundled_photos):
    photo = bundled_photos[0]
    assert (search.place_votes(places, photo) != search.place_votes(places, photo, a_hole(photo))).any()


def test_a_photo_that_is_not_allowed_is_not_found_and_takes_no_vote(places, bundled_photos):
    allowed = np.array([False, True, True, True])
    found = search.nearest_places(places, bundled_photos[0], None, 4, allowed)
    assert 0 not in found.ids and (found.scores > 0).all() and (np.diff(found.scores) <= 0).all()


def test_rows_without_an_id_are_not_found(places, bundled_photos):
    class Less(Places):
        def __init__(self):
            self.place_codes, self.count = places.place_codes, 3
            self.files = [(file, ids - 1) for file, ids in places.files]  # the first was removed

    votes = search.place_votes(Less(), bundled_photos[0])
    assert votes.shape == (3,) and votes.max() < search.place_votes(places, bundled_photos[0])[0] / 3
    assert search.place_votes(Less(), bundled_photos[2]).argmax() == 1


def test_agreement_in_turn_and_zoom_counts(places, bundled_photos, monkeypatch):
    file, ids = places.files[0]
    rng = np.random.default_rng(0)
    spoilt = file._replace(
        angles=rng.integers(0, 256, len(file.rows), dtype=np.uint8),
        scales=rng.integers(0, 200, len(file.rows), dtype=np.uint8),
    )
    before = search.place_votes(places, bundled_photos[0])[0]
    monkeypatch.setattr(places, "files", [(spoilt, ids), *places.files[1:]])
    assert search.place_votes(places, bundled_photos[0])[0] < before / 2


def test_a_nearest_cell_is_that_of_the_code(bundled_photos):
    codes, features = shipped_codes(), local_features(bundled_photos[1], side=400, most=200)
    coded, (cells, signatures) = codes.code(features), codes.nearest(features.descriptors, 5)
    np.testing.assert_array_equal(cells[:, 0], coded.cells)
    np.testing.assert_array_equal(signatures[:, 0], coded.signatures)
    assert all(len(set(row)) == 5 for row in cells.tolist()) and cells.max() < CELLS
    share = np.unpackbits(coded.signatures.view(np.uint8)).mean()
    assert 0.4 < share < 0.6, "about half of the bits are set"


def test_scales_are_steps_of_an_octave():
    found = scale_bytes(np.array([0.5, 1, 2, 4], np.float32))
    np.testing.assert_array_equal(found, np.array([0, 0, 1, 2]) * SCALE_STEPS)
    assert scale_bytes(np.array([1e9], np.float32)) == 255


def test_a_file_holds_what_was_put_in(tmp_path):
    rng = np.random.default_rng(1)

    def some(count):
        cells = rng.integers(0, CELLS, count, dtype=np.uint16)
        angles, scales = rng.integers(0, 256, (2, count), dtype=np.uint8)
        return CodedFeatures(cells, rng.integers(0, 2**63, count, dtype=np.uint64), angles, scales)

    photos = [some(7), NO_FEATURES, None, some(300)]
    path = tmp_path / "x.safetensors"
    path.write_bytes(inverted_bytes(photos))
    file = open_inverted(path)
    assert file.counts.tolist() == [7, 0, NOT_DESCRIBED, 300] and file.starts[-1] == 307
    cells = np.repeat(np.arange(CELLS), np.diff(file.starts.astype(np.int64)))
    for row in (0, 3):
        order, own = np.argsort(photos[row].cells, kind="stable"), file.rows == row
        np.testing.assert_array_equal(cells[own], photos[row].cells[order])
        for name in ("signatures", "angles", "scales"):
            np.testing.assert_array_equal(getattr(file, name)[own], getattr(photos[row], name)[order])
    path.write_bytes(inverted_bytes([None]))
    assert len(open_inverted(path).rows) == 0


def test_a_file_of_something_else_is_refused(tmp_path):
    from safetensors.numpy import save

    path = tmp_path / "x.safetensors"
    for arrays in ({"starts": np.zeros(3, np.uint32)}, {"rows": np.zeros(3, np.int64)}):
        path.write_bytes(save(arrays))
        with pytest.raises(ValueError, match="it has no array"):
            open_inverted(path)


@pytest.mark.parametrize("content", [b"", b"not codes at all", None])
def test_codes_that_are_missing_or_damaged_are_named(tmp_path, content):
    path = tmp_path / "codes.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{path}: no codes of local features .*install ceret again"):
        load_codes(path)


def test_codes_of_other_shapes_are_refused(tmp_path):
    from safetensors.numpy import save

    path = tmp_path / "codes.safetensors"
    path.write_bytes(save({"words": np.zeros((2, 3), np.float16)}))
    with pytest.raises(CheckpointError, match="its arrays are not words, directions, medians of their shapes"):
        load_codes(path)
