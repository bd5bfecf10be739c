"""Where text goes: results to stdout, remarks and progress to stderr; with ``--json`` stdout holds one document."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..core.errors import SardonyxError
from ..core.events import tell
from .text import LONGEST_LINE, clean, shorten

_EVERY_S = 2.0
"""Off a terminal, a progress line appears at most this often."""


class DocumentedError(Exception):
    """An error with a document: by how much an expectation was not met, or how far a command came.

    Args:
        error: The error.
        document: What the command prints nevertheless, where JSON is wanted.
    """

    def __init__(self, error: SardonyxError, document: Mapping[str, Any]) -> None:
        super().__init__(error.cause)
        self.error = error
        self.document = document


class Console:
    """Prints for one command.

    Args:
        json_wanted: Whether stdout is to hold one JSON document and nothing else.
        verbose: Whether details are wanted too.

    Attributes:
        is_stdout_taken: Whether stdout holds a result for programs, so that text for people goes to stderr.
    """

    def __init__(self, *, json_wanted: bool = False, verbose: bool = False) -> None:
        self.json_wanted = json_wanted
        self.is_stdout_taken = json_wanted
        self.verbose = verbose

    def say(self, text: str = "") -> None:
        """Print a result for people, in one line: no name in it can begin another, which would pass for ours."""
        self.show(shorten(text, LONGEST_LINE))

    def show(self, text: str) -> None:
        """Print a text of several lines, such as a table, whose names are cut and without line breaks already."""
        stream = sys.stderr if self.is_stdout_taken else sys.stdout
        print("\n".join(clean(line) for line in text.split("\n")), file=stream, flush=True)

    def note(self, text: str) -> None:
        """Print a remark on the way; never on stdout."""
        print(shorten(text, LONGEST_LINE), file=sys.stderr, flush=True)

    def detail(self, text: str) -> None:
        """Print a result that only ``-v`` asks for."""
        if self.verbose:
            self.say(text)

    def document(self, content: Mapping[str, Any]) -> None:
        """Print the JSON document of the command, if it is wanted."""
        if self.json_wanted:
            print(json.dumps(content, indent=2, allow_nan=False), flush=True)

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """Report work as it goes on: a bar on a terminal, a line now and then elsewhere."""
        tell(label)
        if sys.stderr.isatty():
            with _bar(label) as report:
                yield report
        else:
            yield _Lines(label)


class _Lines:
    """Progress as plain lines, at most one every two seconds."""

    def __init__(self, label: str) -> None:
        self.label = clean(label)
        self.started_s = self.shown_s = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.shown_s >= _EVERY_S:
            self.shown_s = now
            left_s = (now - self.started_s) * (total - done) / max(done, 1)
            more = f", {_duration(left_s)} left" if left_s >= 1 else ""
            print(f"{self.label}: {done}/{total}{more}", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    """A time in the largest unit of which there are at least two: ``90 s``, ``12 min``, ``3 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console as RichConsole
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    # markup=False: a label may hold a name from a model
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=RichConsole(stderr=True), transient=True) as bar:
        task = bar.add_task(clean(label), total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield report
