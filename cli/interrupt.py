"""Ctrl-C: a command ends soon, whatever it computes at that moment."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

GRACE = 1.0  # s for an orderly end: temporary files removed, the terminal restored


@contextlib.contextmanager
def ending_soon_after_interrupt() -> Iterator[None]:
    """Run the block; from now on, Ctrl-C ends the process within GRACE seconds, also after the block.

    Python hands Ctrl-C to the main thread, which may be waiting for a library's long call, and at its end waits for all
    threads, each of which may be decoding a large photo. A thread of its own therefore watches for the signal. Whatever is
    being written survives a kill at any moment.
    """
    receiving, sending = os.pipe()
    os.set_blocking(sending, False)
    signal.set_wakeup_fd(sending, warn_on_full_buffer=False)
    said = threading.Event()
    threading.Thread(target=_watch, args=(receiving, said), daemon=True).start()
    try:
        yield
    finally:
        said.set()


def _watch(receiving: int, said: threading.Event) -> None:
    while signal.SIGINT not in os.read(receiving, 1):
        pass
    time.sleep(GRACE)
    if not said.is_set():
        show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""  # a progress bar hides it
        os.write(2, f"{show_cursor}\nAborted!\n".encode())
    os._exit(1)
