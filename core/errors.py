"""Every error that Sardonyx raises on purpose.

::

    SardonyxError                  a cause, a remedy and an exit code
    ├── ExpectationError      1    a stated expectation was not met (parity, --max-drop, --min-speedup, a proof)
    ├── UsageError            2    the request contradicts itself or names something unknown
    ├── InputError            3    bad input
    │   ├── ModelError             a model file or graph
    │   ├── DataError              samples
    │   └── RecipeError            a recipe file
    ├── LimitError            4    refused by a limit (size, elements, expansion, memory)
    └── EnvironmentFault      5    something this machine does not have
        ├── MissingExtraError      an optional package
        ├── ProviderError          an execution provider that is absent or fell back
        └── StorageError           a path that cannot be written
"""

from __future__ import annotations

from typing import ClassVar


class SardonyxError(Exception):
    """A failure with one line of cause and one line of remedy.

    Args:
        cause: What is wrong, in one line.
        remedy: What the user can do about it, in one line.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, cause: str, *, remedy: str) -> None:
        super().__init__(cause)
        self.cause = _one_line(cause)
        self.remedy = _one_line(remedy)

    def __str__(self) -> str:
        return f"{self.cause} ({self.remedy})"


class ExpectationError(SardonyxError):
    """A stated expectation was not met."""

    exit_code = 1


class UsageError(SardonyxError):
    """The request contradicts itself or names something unknown."""

    exit_code = 2


class InputError(SardonyxError):
    """Bad input."""

    exit_code = 3


class ModelError(InputError):
    """A model file or graph that cannot be accepted."""


class DataError(InputError):
    """Samples that cannot be accepted."""


class RecipeError(InputError):
    """A recipe that cannot be accepted."""


class LimitError(SardonyxError):
    """Refused by a stated limit."""

    exit_code = 4


class EnvironmentFault(SardonyxError):  # noqa: N818 - Python has an EnvironmentError
    """Something that this machine does not have."""

    exit_code = 5


class MissingExtraError(EnvironmentFault):
    """An optional package is not installed.

    Args:
        package: The package that is missing.
        extra: The extra of Sardonyx that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed", remedy=f'run: pip install "sardonyx[{extra}]"')


class ProviderError(EnvironmentFault):
    """An execution provider is absent, or did not run what it was asked to run."""


class StorageError(EnvironmentFault):
    """A path that cannot be written, or a disk that is full."""


def _one_line(text: str) -> str:
    """Fold white space and escape control characters, which may come from a hostile file."""
    folded = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in folded)
