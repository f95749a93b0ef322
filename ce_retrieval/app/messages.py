"""What the page says to people: errors in plain words, with the names of files in place of their paths, or without both."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath

from ce_retrieval.errors import CeretError, CorruptIndexError, FilterError, PhotoError
from ce_retrieval.errors import one_line as plain_line
from ce_retrieval.photos import IMAGE_SUFFIXES, LargePhotoError
from ce_retrieval.photos.base import EXTRA_SUFFIXES, UNREAD_SUFFIXES
from ce_retrieval.photos.folder_sources import SHARD_SUFFIXES

NO_PHOTO = "Choose a photo first: drop one on the page, paste one, or take one from the collection."
NOTHING_PAINTED = "Nothing is painted yet: paint over what should go, or load a mask."
ALL_PAINTED = "Everything is painted: leave some of the photo, so that there is something to go by."
NO_COLLECTION = "There is no collection here: whoever runs this page can start it with one (--index)."
PHOTO_GONE = "Your photo is no longer here: it was deleted after an hour, or the page was restarted. Choose it again."
RESULT_GONE = "This result is no longer here. Press “Fill the hole” again."
NONE_PASSES = "No photo of the collection passes this filter: loosen it, or leave it empty."
BUSY = "Too many people are waiting at this moment. Try again in a minute."
STOPPED = "Stopped."
NO_MEMORY = "There is not enough memory for this photo: make it smaller."
FAULT = "Something went wrong that should not have. Try again; whoever runs this page finds the details in its log."
NOT_UPLOADED = "This file did not come from the page: choose it again."

#: Arguments of the library -> what the page calls them.
CONTROLS = {
    "where": "“Only photos for which”",
    "method": "the method",
    "seam": "“Seam”",
    "trust": "“Colour correction”",
    "pick": "the choice",
    "top": "the number of candidates",
    "terms": "the weights",
    "rerank": "“Order”",
    "aligned": "“Scenes to place”",
    "index": "a collection",
    "others": "other photos of the place",
    "k": "the number of photos",
    "features": "“Alike in”",
    "fill": "“Fill”",
    "start": "“Begin with”",
    "kind": "“Same kind of place”",
    "places": "“Same place first”",
    "allow_same_photo": "“Allow the photo itself”",
    "focus": "“Focus”",
    "max_pixels": "the limit of whoever runs this page",
}
_SUFFIXES = "|".join(
    re.escape(suffix)
    for suffix in (*IMAGE_SUFFIXES, *EXTRA_SUFFIXES, *UNREAD_SUFFIXES, *SHARD_SUFFIXES, ".ceret", ".json", ".npy")
)
# A path ends with the suffix of a file, or, where it has none, at a blank. Blanks within it are names', as in `/my photos/a.jpg`.
_PATH = re.compile(
    rf"(?<![\w/.])(?:/(?=[^\s/])(?:(?!\s['\"]?/|\s--\w|`).)*?|(?:[\w.~-]+/)+[^\s/]*?)(?:{_SUFFIXES})(?![\w/]|\.\w|::)"
    r"|(?<![\w/.])/[^\s/](?:[^\s,;`'\"]*[^\s,;`'\":.)])?",
    re.IGNORECASE,
)
# What the keeper of a collection can do about a photo that is gone is of no use to people on the page.
_REMEDY = re.compile(
    r"(?: of [^:]*)?( cannot be read any more| has changed since it was indexed): [a-z ]+, or bring the index up to date with "
    r"`[^`]*`(?:; if .*? has moved, run `[^`]*`)?"
)
_BEFORE_PATH = re.compile(r"[\s,:;(]*\b(?:the first|as|of|with|at|in)?[\s,:;(]*$")
HIDDEN = "Something is wrong with a file of the collection: whoever runs this page can see what."


class PageError(CeretError):
    """What a user of the page did, or met, as a line that the page shows as it is."""


def told(error: CeretError, *, hide: bool) -> str:
    """Return an error as the page shows it.

    hide : leave the names of files out, too.
    """
    if isinstance(error, PageError):
        return str(error)
    if isinstance(error, LargePhotoError):
        return f"This photo is too large: it has {error.pixels / 1e6:.0f} megapixels. Make it smaller, and choose it again."
    if isinstance(error, FilterError) and "passes the filter" in str(error):
        return NONE_PASSES
    text = _in_words(_REMEDY.sub(r"\1", plain_line(str(error))))
    text = _named(_sentence(_without_paths(text) if hide else text))
    if isinstance(error, CorruptIndexError):
        return f"A file of the collection is damaged, so that it cannot be searched. {text}"
    return text


def photo_fault(error: PhotoError, name: str) -> str:
    """Return why an upload is not a photo that can be read; the error's text names it `name`."""
    reason = plain_line(str(error)).removeprefix(f"{name}: ")
    return f"“{name}” cannot be opened as a photo ({_in_words(reason)}). Choose a JPEG, PNG, WebP, TIFF or HEIC photo."


def _in_words(text: str) -> str:
    """Replace the library's arguments by what the page calls them."""
    return re.sub(r"`(\w+)`", lambda found: CONTROLS.get(found[1], found[1].replace("_", " ")), text)


def last_part(name: str) -> str:
    """Return the last part of a photo's full name: a path, or container::key."""
    return PurePosixPath(name.rpartition("::")[2] or name).name


def _named(text: str) -> str:
    """Replace each path by the name of its file; in a command, by the name as a shell takes it."""

    def name(found: re.Match[str]) -> str:
        own = last_part(found[2])
        return shlex.quote(own) if text[: found.start()].count("`") % 2 else f"“{own}”"

    return re.sub(rf"(['\"]?)({_PATH.pattern})\1", name, text, flags=_PATH.flags)


def _without_paths(text: str) -> str:
    """Return what stands before the first path, or a line that says nothing where that is too little."""
    found = _PATH.search(text)
    if found is None:
        return text
    before = _BEFORE_PATH.sub("", text[: found.start()])
    return before if len(before.split()) > 2 else HIDDEN


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
