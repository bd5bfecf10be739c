"""How long work tells of itself, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeAlias

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the units done and the units in total."""


class Monitor(Protocol):
    """Someone who is told how work goes on."""

    def note(self, text: str) -> None:
        """A remark on the way."""
        ...

    def progress(self, label: str) -> AbstractContextManager[Progress]:
        """A context whose value is called as the labelled work advances."""
        ...


class Silent:
    """A monitor that says nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    @contextmanager
    def progress(self, label: str) -> Iterator[Progress]:
        """Say nothing."""
        yield lambda done, total: None
