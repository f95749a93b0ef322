"""How the page is served. Imports no heavy library, so that the command line's help is instant."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from ce_retrieval.errors import SettingsError, shown
from ce_retrieval.settings import COUNT, MOST, Checked, setting

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class AppSettings(Checked):
    """How the page is served.

    Attributes
    ----------
    host, port : where the server listens.
    no_sources : never show where the photos of the indexes lie: no path, no file name.
    max_pixels : most pixels of a photo that is read.
    max_upload : most bytes of a file that is uploaded.
    at_once : photos that are worked on at the same time; further ones wait.
    waiting : photos that wait, at most; further ones are refused.
    kept_for : seconds after which an upload, and what was made of it, is deleted.
    """

    host: str = setting("127.0.0.1", help="Address to listen on; 0.0.0.0: all of this machine's, for others to see.")
    port: int = setting(7860, low=1, high=65_535, help="Port to listen on.")
    no_sources: bool = setting(False, help="Never show where photos lie: no path and no file name, also in downloads.")
    max_pixels: int = setting(50_000_000, COUNT, help="Most pixels of a photo that is read.")
    max_upload: int = setting(64 * MEGABYTE, low=1024, high=MOST, help="Most bytes of a file that is uploaded.")
    at_once: int = setting(2, low=1, high=64, help="Photos that are worked on at the same time; others wait.")
    waiting: int = setting(50, low=1, high=10_000)
    kept_for: int = setting(3600, low=1, high=86_400)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.host or any(letter.isspace() or letter == "/" for letter in self.host):
            raise SettingsError(f"`host` is {shown(self.host)}: expected an address or a name, such as 127.0.0.1")

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach the server."""
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host == "localhost"
