"""How much time and memory a process may take, and setting the latter for the process that calls."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass

from .limits import GIB


@dataclass(frozen=True)
class Bounds:
    """What a command that runs models of strangers may take.

    Attributes:
        seconds: Time on the clock; None for as long as it likes.
        memory_bytes: Memory that its process may write to; None for all there is.
    """

    seconds: float | None = 600.0
    memory_bytes: int | None = 4 * GIB


def limit_addresses(size: int) -> bool:
    """Bound the address space of this process, files that it maps included.

    Args:
        size: In bytes.

    Returns:
        Whether this platform can.
    """
    return _set("RLIMIT_AS", size)


def limit_data(size: int) -> bool:
    """Bound the memory that this process may write to; files and libraries that it maps do not count.

    Args:
        size: In bytes.

    Returns:
        Whether this platform can: Linux alone counts all of it.
    """
    return sys.platform == "linux" and _set("RLIMIT_DATA", size)


def _set(name: str, size: int) -> bool:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, most = resource.getrlimit(getattr(resource, name))
        bound = size if most == resource.RLIM_INFINITY else min(size, most)
        resource.setrlimit(getattr(resource, name), (bound, bound))
        return True
    return False
