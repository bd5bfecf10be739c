"""Glob patterns over names, with which users leave parts of a model alone."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


def first_glob(names: Iterable[str], globs: Iterable[str]) -> str | None:
    """The first of some patterns that matches any of some names; None where none does.

    Args:
        names: The names that a thing goes by.
        globs: The patterns, told apart by case.
    """
    known = tuple(names)
    return next((glob for glob in globs if any(fnmatchcase(name, glob) for name in known)), None)
