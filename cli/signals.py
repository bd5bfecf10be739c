"""Interrupt and termination as exceptions, so that whatever was begun is cleaned up on the way out."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

PATIENCE_S = 5.0
"""So long after a first signal a further one is ignored: it would cut short the cleaning up."""


class Terminated(BaseException):
    """SIGTERM arrived."""


@contextmanager
def raised_signals() -> Iterator[None]:
    """Let SIGINT raise :class:`KeyboardInterrupt` and SIGTERM :class:`Terminated`, where they are not ignored."""
    last_s = -PATIENCE_S

    def strike(number: int, frame: FrameType | None) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s >= PATIENCE_S:
            last_s = now_s
            raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    mine = []
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                with suppress(ValueError):  # not the main thread: whoever runs us there handles signals
                    signal.signal(number, strike)
                    mine.append(number)
        yield
    finally:
        for number in mine:
            signal.signal(number, before[number])


def ignore_signals() -> None:
    """Let the process end undisturbed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
