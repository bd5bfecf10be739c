"""Standard output and standard error while a command runs: whoever reads them may go, and work goes on."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from ..core.errors import StorageError


@contextmanager
def steady_streams() -> Iterator[None]:
    """Let a command print, whatever becomes of those who read it.

    What nobody reads any more is dropped. A stream that is closed becomes the null device: a file that took its number
    would get what is printed. An ASCII terminal gets escapes.

    Raises:
        StorageError: From what prints, where standard output goes to a disk that is full.
    """
    _open_closed()
    before = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout = cast(TextIO, _Steady(before[0], is_result=True))
    sys.stderr = cast(TextIO, _Steady(before[1], is_result=False))
    try:
        yield
    finally:
        with contextlib.suppress(StorageError):
            sys.stdout.flush()
        sys.stdout, sys.stderr = before


class _Steady:
    """A stream that falls silent once it cannot be written; where it holds results, a full disk is an error first."""

    def __init__(self, stream: TextIO, *, is_result: bool) -> None:
        self._stream, self._is_result = stream, is_result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write as far as anyone reads."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush as far as anyone reads."""
        self._try(self._stream.flush)

    def _try(self, call: Callable[[], object]) -> None:
        try:
            call()
        except BrokenPipeError:
            self._silence()
        except OSError as error:
            self._silence()
            if self._is_result:
                raise StorageError(
                    f"cannot print the result: {error.strerror or error}",
                    remedy="free some space, or send standard output elsewhere",
                ) from error

    def _silence(self) -> None:
        """Send all that is still to come, and what waits in the buffer, to the null device."""
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)


def _open_closed() -> None:
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
