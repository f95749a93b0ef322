"""Photos that a user has removed from an index, which does not take them up again by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_DIGITS = re.compile("[0-9a-f]*")


@dataclass(frozen=True)
class KeptOut:
    """What stays out of an index until it is restored.

    Attributes
    ----------
    names : tuple of (source, key)
        Photos by name, whatever their files hold; ascending.
    sha256 : tuple of str
        Photos by the bytes of their files, whatever their names; ascending.
    """

    names: tuple[tuple[int, str], ...] = ()
    sha256: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.names or self.sha256)

    def with_more(self, names: Iterable[tuple[int, str]] = (), sha256: Iterable[str] = ()) -> KeptOut:
        """Return it with more names and contents."""
        return KeptOut(tuple(sorted({*self.names, *names})), tuple(sorted({*self.sha256, *sha256})))

    def without(self, names: Iterable[tuple[int, str]] = (), sha256: Iterable[str] = ()) -> KeptOut:
        """Return it without these names and contents."""
        return KeptOut(tuple(sorted({*self.names} - {*names})), tuple(sorted({*self.sha256} - {*sha256})))

    def content(self) -> dict[str, Any]:
        """Return what a manifest stores: keys by the number of their source, and hashes."""
        keys: dict[str, list[str]] = {}
        for source, key in self.names:
            keys.setdefault(str(source), []).append(key)
        return {"names": keys, "sha256": list(self.sha256)}

    @classmethod
    def of_content(cls, content: Mapping[str, Any], sources: int) -> KeptOut:
        """Read what `content` returned; ValueError for a source that does not exist or text that is not a hash."""
        if set(content) != {"names", "sha256"}:
            raise ValueError("the photos that are kept out are not listed by names and SHA-256")
        names = tuple((int(number), key) for number, keys in content["names"].items() for key in keys)
        if any(not 0 <= number < sources or not isinstance(key, str) for number, key in names):
            raise ValueError(f"a name that is kept out belongs to none of the {sources} sources")
        if not are_hashes(content["sha256"]):
            raise ValueError("a photo that is kept out has an invalid SHA-256")
        return cls(names, tuple(content["sha256"]))


NOTHING = KeptOut()


def are_hashes(texts: Sequence[str]) -> bool:
    """Return whether all texts are SHA-256 in hexadecimal, in small letters."""
    # One search for all: a segment has thousands, and is looked at whenever a photo of it is found.
    return all(len(text) == 64 for text in texts) and _DIGITS.fullmatch("".join(texts)) is not None
