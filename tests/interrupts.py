"""Interrupts of commands under test."""

import signal


def heed_interrupts() -> None:
    """For `preexec_fn`: a run of the tests that a script began in the background ignores interrupts, and hands that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
