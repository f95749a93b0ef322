"""The errors that a user can cause. Each message is one line: what is wrong, what was expected, the remedy."""

import re
from collections.abc import Sequence
from typing import Any

# Control characters, line and paragraph separators, what turns the direction of writing, and bytes that are not UTF-8.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class CeretError(Exception):
    """Base of all errors caused by the user or the environment; the command line prints them as one line."""


class SettingsError(CeretError):
    """The value of an argument or option is unknown, out of range, or does not fit the others."""


class InstallationError(CeretError):
    """Other software, or nothing, stands in the place of a package of ceret."""


class PhotoError(CeretError):
    """A photo cannot be read or used: not an image, truncated, too large, or too small."""


class SamePhotoError(PhotoError):
    """A scene is the very photo that it should fill, or a copy of it."""


class SourceError(CeretError):
    """A photo source (folder, tar shard, parquet file) is missing, unreadable, unsafe, or without a photo."""


class MaskError(CeretError):
    """A mask does not give a hole: empty, full, of another size than its photo, or not two-valued."""


class DescriptorError(CeretError):
    """A descriptor cannot be built, or the hole leaves it nothing to see."""


class PhotoIndexError(CeretError):
    """An index on disk is missing, of another format, or cannot answer the query."""


class NoKindError(PhotoIndexError):
    """The kind of a photo cannot be compared: an index has no kind features, their weights have changed, or a hole hides it."""


class NoPlacesError(PhotoIndexError):
    """Photos of the same place cannot be found: an index has no local features, or other codes made them."""


class FilterError(CeretError):
    """A filter is not a valid expression, names an unknown column, or excludes every photo."""


class CorruptIndexError(PhotoIndexError):
    """A file of an index is truncated or altered: its checksum differs from the manifest's."""


class LockedIndexError(PhotoIndexError):
    """Another process is writing to the index."""


class ClusterError(CeretError):
    """A Ray cluster cannot be reached, or its machines cannot do the work."""


class StorageError(CeretError):
    """A file or folder cannot be written: the disk is full, or the folder is not writable."""


class SolverError(CeretError):
    """A numerical solver did not converge."""


class EvaluationError(CeretError):
    """An evaluation cannot run: no photo can be measured, or the collection has changed."""


class TrainingError(CeretError):
    """A training run cannot start or continue: bad data, a diverging loss, no memory, no device."""


class CheckpointError(CeretError):
    """A checkpoint is missing, truncated, altered, or of another architecture."""


def one_line(text: str) -> str:
    r"""Return text with visible escapes in place of control characters: a file name may hold a newline or move a cursor.

    A byte of a name that is not valid UTF-8 becomes \xNN, as in `photos.base.plain_text`.
    """

    def escape(found: re.Match[str]) -> str:
        code = ord(found[0])
        return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else found[0].encode("unicode_escape").decode()

    return _UNSEEN.sub(escape, text)


def reason_of(error: OSError | ValueError) -> str:
    """Return why the system refused, for a message, as in "permission denied"; ValueError: of a path that none can be."""
    reason = getattr(error, "strerror", None) or str(error)
    return reason[:1].lower() + reason[1:]


def some(names: Sequence[str], most: int = 3, between: str = ", ") -> str:
    """Return names for a message: the first few, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def are(names: Sequence[str]) -> str:
    """Return the verb for `some` of these names: is or are."""
    return "is" if len(names) == 1 else "are"


def counted(number: int, noun: str, one: str = "", more: str = "") -> str:
    """Return a number with its noun, as in "1 photo" and "2 photos", and a verb: `one` or `more`."""
    return f"{number} {noun} {one}".rstrip() if number == 1 else f"{number} {noun}s {more}".rstrip()


def shown(value: Any, most: int = 60) -> str:
    """Return a value that a user gave, for a message: texts in quotes, the rest as Python prints it, and long ones cut."""
    try:
        return cut(repr(value) if isinstance(value, str) else str(value), most)
    except ValueError:  # Python prints no whole number of more than 4300 digits
        return "a number of thousands of digits"


def cut(text: str, most: int = 60) -> str:
    """Return a text in one line of at most this many characters."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 3]}..."
