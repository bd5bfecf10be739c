"""The flag ``--admit NAME=NUMBER``: any of the limits that inputs are held to, by its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from ..core.errors import UsageError
from ..core.limits import Limits, current_limits
from .text import parse_duration, parse_size, shorten


def parse_limits(settings: Sequence[str]) -> Limits:
    """The current limits with some of them changed.

    Args:
        settings: Of the form ``NAME=NUMBER``; a size may have a unit, as in ``external_bytes=100GiB``.

    Raises:
        UsageError: No limit is called so, or the number is none above zero.
    """
    names = {field.name for field in fields(Limits)}
    changed: dict[str, int | float] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in names:
            raise UsageError(
                f"--admit {shorten(setting)}",
                remedy=f"write NAME=NUMBER, with one of {', '.join(sorted(names))}",
            )
        changed[name] = parse_duration(value) if name.endswith("_s") else parse_size(value)
    return replace(current_limits(), **changed)  # type: ignore[arg-type]
