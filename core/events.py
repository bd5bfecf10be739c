"""What is under way, for whoever listens: records of Python's logging under the name ``sardonyx``.

Nobody listens unless asked to, and then telling costs next to nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

_LOG = logging.getLogger("sardonyx")
_LOG.addHandler(logging.NullHandler())


def tell(text: str, **facts: Any) -> None:
    """Say what begins, or what has come out.

    Args:
        text: The words.
        **facts: The same for programs: plain values by name.
    """
    _LOG.info("%s", text, extra={"facts": facts})


def listen(listener: Callable[[str, Mapping[str, Any]], None]) -> None:
    """Hand all that is told from now on in this process to a function: the words, and the facts."""
    _LOG.addHandler(_Handler(listener))
    _LOG.setLevel(logging.INFO)
    _LOG.propagate = False


class _Handler(logging.Handler):
    def __init__(self, listener: Callable[[str, Mapping[str, Any]], None]) -> None:
        super().__init__(logging.INFO)
        self._listener = listener

    def emit(self, record: logging.LogRecord) -> None:
        self._listener(record.getMessage(), getattr(record, "facts", {}))
