"""Files of proposals: what comes back, and what is refused, by a line that names the file."""

import io
import struct
import zipfile

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from transfer_networks import random_boxes as boxes

from ce_retrieval.errors import SourceError
from ce_retrieval.transfer.sets import proposals as module
from ce_retrieval.transfer.sets.proposals import Proposals


def flipped(given):
    return given[:, [1, 0, 3, 2]]


def matlab(names, given, **options):
    """A file as published with Fast R-CNN: cells of names and of boxes."""
    cells, images = np.empty((1, len(given)), object), np.empty((len(names), 1), object)
    for place, one in enumerate(given):
        cells[0, place] = one
    for place, name in enumerate(names):
        images[place, 0] = name
    file = io.BytesIO()
    scipy.io.savemat(file, {"more": np.eye(3), "images": images, "boxes": cells}, **options)
    return file.getvalue()


def nested(depth):
    """A file whose variable `boxes` is a cell in a cell in a cell."""
    parts, size = [struct.pack("<II", 14, 0)], 8
    for level in range(depth):
        name = b"boxes\0\0\0" if level == depth - 1 else b""
        header = struct.pack("<10I", 6, 8, 1, 0, 5, 8, 1, 1, 1, len(name.rstrip(b"\0"))) + name
        parts.append(struct.pack("<II", 14, len(header) + size) + header)
        size += 8 + len(header)
    return b"MATLAB".ljust(124) + b"\0\1IM" + b"".join(reversed(parts))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_a_matlab_file_is_read_as_scipy_reads_it(compressed, kind, tmp_path):
    given = [flipped(boxes(count, count)).astype(kind) for count in (1, 2, 30)]
    data = matlab(("a", "été", "000003"), given, do_compression=compressed)
    (tmp_path / "b.mat").write_bytes(data)
    found = Proposals([tmp_path / "b.mat"])
    read = scipy.io.loadmat(io.BytesIO(data))
    for image, box in zip(read["images"].ravel(), read["boxes"].ravel(), strict=True):
        assert np.array_equal(found.boxes(image[0], 90, 70), flipped(box))


def test_files_of_proposals(tmp_path):
    one, two = boxes(5, 1), boxes(3, 2)
    np.savez(tmp_path / "a.npz", **{"000001": one.astype(np.int32)})
    (tmp_path / "b.mat").write_bytes(matlab(("000002", "000003"), (flipped(two).astype(np.uint16), np.empty((0, 0)))))
    found = Proposals([tmp_path / "a.npz", tmp_path / "b.mat"])
    assert np.array_equal(found.boxes("000001", 90, 70), one) and np.array_equal(found.boxes("000002", 90, 70), two)
    assert len(found.sha256) == 2 and found.sha256 != Proposals([tmp_path / "b.mat", tmp_path / "a.npz"]).sha256
    found.check(["000001", "000002"])
    for names_of, words in ((["000001", "000003"], "1 photo, 000003"), (["9", "8"], "2 photos")):
        with pytest.raises(SourceError, match=f"no boxes of {words}"):
            found.check(names_of)
    with pytest.raises(SourceError, match="000001 is not within its 20x70 px"):
        found.boxes("000001", 20, 70)
    with pytest.raises(SourceError, match="has the photo 000001, as"):
        Proposals([tmp_path / "a.npz", tmp_path / "a.npz"])


def packed(save=np.savez, **arrays):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def with_text():
    file = io.BytesIO(packed(one=boxes(2)))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("readme.txt", "mine")
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("none.npz", None, "no such file"),
        ("a.txt", b"1 2 3 4", "give a .npz or .mat file"),
        ("a.npz", b"nothing", "cannot be read"),
        ("a.mat", b"nothing", "cannot be read"),
        ("a.npz", packed(one=np.array([[None] * 4])), "cannot be read"),
        ("a.npz", packed(one=np.array([[1, 1, 1e300, 1e300]])), "not finite"),
        ("a.npz", with_text(), "readme.txt has bytes, expected numbers"),
        ("a.mat", matlab("ab", [flipped(boxes(3))]), "2 images, but boxes of 1"),
        ("a.mat", matlab([5], [flipped(boxes(3))]), "an image is not a name"),
        ("a.mat", matlab("a", [boxes(3)[:, :3]]), r"a has float64 \(3, 3\), expected"),
        ("a.mat", matlab("a", ["text"]), "a has str, expected"),
        ("a.mat", matlab("a", [flipped(boxes(3)) + 1j]), "real numbers"),
        ("a.mat", matlab("a", [scipy.sparse.csc_matrix(boxes(3))]), "real numbers"),
        ("a.mat", matlab("a", [flipped(boxes(3))])[:-40], "cut short"),
        ("a.mat", nested(2)[:-8], "cut short"),
        ("a.mat", nested(1), "no variable images"),
        ("a.mat", nested(100_000), "real numbers"),
        ("a.mat", b"MATLAB 7.3".ljust(124) + b"\0\2IM", "version 5 or 7"),
        ("a.npz", packed(one=np.zeros((3, 5))), r"one has float64 \(3, 5\), expected"),
        ("a.npz", packed(one=np.array([[1, 1, np.nan, 2]])), "wrong order"),
        ("a.npz", packed(one=np.array([[0, 1, 3, 2]])), "below 1"),
        ("a.npz", packed(one=np.array([[3, 1, 2, 2]])), "wrong order"),
    ],
)
def test_files_that_are_refused(tmp_path, name, data, words):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError, match=words) as told:
        Proposals([tmp_path / name])
    assert "\n" not in str(told.value) and name in str(told.value)


def test_files_that_unpack_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MOST_BYTES", 30_000)
    large = np.ones((2000, 4))
    files = {
        "a.npz": packed(save=np.savez_compressed, one=large),
        "b.npz": packed(save=np.savez_compressed, one=large.astype(np.int8)),  # small until it is float32
        "a.mat": matlab("a", [large.astype(np.uint16)], do_compression=True),
        "b.mat": bytes(30_001),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SourceError, match=f"{name}: holds more than .* of boxes; give several files"):
            Proposals([tmp_path / name])
