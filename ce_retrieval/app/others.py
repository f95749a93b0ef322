"""Other photos of the place that a user has added: a folder of theirs, which the methods read as that of `--others`."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ce_retrieval.app.messages import PageError, photo_fault
from ce_retrieval.app.uploads import TILE, plain_name, save_preview
from ce_retrieval.errors import PhotoError
from ce_retrieval.photos import LargePhotoError, decode_photo
from ce_retrieval.photos.base import is_image_name
from ce_retrieval.storage import make_folder, storage_errors, write_file

FOLDER = "others"  # its name in commands and records: where it lies on the server is nobody's business
MOST = 40  # photos of one user
TOO_MANY = f"More than {MOST} other photos are not taken: choose those that show what is hidden."
MOST_BYTES = 256 << 20  # of all of these


class OtherPhoto(NamedTuple):
    """A photo that was added.

    Attributes
    ----------
    name : of its file, as no other one has it.
    file : its bytes, where the browser cannot fetch them.
    sha256, size : of them.
    tile : a small picture of it.
    """

    name: str
    file: Path
    sha256: str
    size: int
    tile: Path


class Others:
    """The other photos of one user.

    Parameters
    ----------
    served, kept : the user's folders (`Home.rooms`).
    """

    def __init__(self, served: Path, kept: Path) -> None:
        self._served, self._folder = served, kept / FOLDER
        self._photos: list[OtherPhoto] = []
        self._lock = threading.Lock()

    @property
    def photos(self) -> Sequence[OtherPhoto]:
        """The photos, in the order in which they were added."""
        return tuple(self._photos)

    def folder(self) -> Path | None:
        """Return the folder, None where there are no photos; PageError where some have been deleted."""
        with self._lock:
            left = [one for one in self._photos if one.file.exists()]
            gone, self._photos = len(self._photos) - len(left), left
        if gone:
            raise PageError(
                f"{gone} of the other photos of the place are no longer here, since they are deleted after an hour: add them "
                "again, or fill without them."
            )
        return self._folder if left else None

    def add(self, data: bytes, name: str, max_pixels: int) -> None:
        """Add a photo; one that is there already is passed over.

        Parameters
        ----------
        data : of its file.
        name : of its file; any text.

        Raises
        ------
        PageError : it is no photo that can be read, or there are too many.
        LargePhotoError : it has more than `max_pixels` pixels.
        """
        name = plain_name(name)
        if not is_image_name(name):
            raise PageError(f"The name of “{name}” does not end as that of a photo, as in beach.jpg: rename it.")
        try:
            pixels = decode_photo(data, name=name, max_pixels=max_pixels).pixels
        except LargePhotoError:
            raise
        except PhotoError as error:
            raise PageError(photo_fault(error, name)) from None
        sha256 = hashlib.sha256(data).hexdigest()
        tile = self._served / f"other-{sha256[:16]}.webp"
        save_preview(tile, pixels, TILE)
        with self._lock:
            if any(one.sha256 == sha256 for one in self._photos):
                return
            if len(self._photos) == MOST:
                raise PageError(TOO_MANY)
            if sum(one.size for one in self._photos) + len(data) > MOST_BYTES:
                raise PageError(f"The other photos together are larger than {MOST_BYTES >> 20} MB: make them smaller.")
            name = _unlike(name, {one.name.lower() for one in self._photos})
            make_folder(self._folder)
            file = self._folder / name
            with storage_errors(file):
                write_file(file, data)
            self._photos.append(OtherPhoto(name, file, sha256, len(data), tile))

    def remove(self, sha256: str) -> None:
        """Take a photo off; nothing happens where it is none of them."""
        with self._lock:
            for one in [one for one in self._photos if one.sha256 == sha256]:
                self._photos.remove(one)
                one.file.unlink(missing_ok=True)
                one.tile.unlink(missing_ok=True)


def _unlike(name: str, taken: set[str]) -> str:
    """Return a name that is none of those in `taken`, which are in small letters."""
    stem, suffix, number = Path(name).stem, Path(name).suffix, 1
    while name.lower() in taken:
        number += 1
        name = f"{stem} ({number}){suffix}"
    return name
