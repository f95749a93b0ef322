"""Ctrl-C: a command ends soon, whatever it computes at that moment."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

from cli.output import on_terminal

GRACE = 1.0  # s for an orderly end: temporary files removed, the terminal restored


@contextlib.contextmanager
def ending_soon_after_interrupt() -> Iterator[None]:
    """Run the block; Ctrl-C ends the process when the block has ended, or GRACE seconds later if it has not.

    Python hands Ctrl-C to the main thread, which may be waiting for a library's long call. At its end it waits for all
    threads, each of which may be decoding a large photo, and takes libraries apart, which takes seconds too. A thread of its
    own therefore watches for the signal, and the end is cut short. Whatever is being written survives a kill at any moment.
    """
    interrupted = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored, as in the background
        signal.signal(signal.SIGINT, interrupt)
    receiving, sending = os.pipe()
    os.set_blocking(sending, False)
    signal.set_wakeup_fd(sending, warn_on_full_buffer=False)
    said = threading.Event()
    threading.Thread(target=_watch, args=(receiving, said), daemon=True).start()
    try:
        yield
    finally:
        said.set()
        if interrupted.is_set():
            with contextlib.suppress(OSError, ValueError):
                for stream in filter(None, (sys.stdout, sys.stderr)):
                    stream.flush()
            os._exit(1)


def _watch(receiving: int, said: threading.Event) -> None:
    while signal.SIGINT not in os.read(receiving, 1):
        pass
    time.sleep(GRACE)
    if not said.is_set():
        show_cursor = "\x1b[?25h" if on_terminal() else ""  # a progress bar hides it
        os.write(2, f"{show_cursor}\nAborted!\n".encode())
    os._exit(1)
