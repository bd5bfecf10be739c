"""One run by several processes that ``torchrun`` started: all of them train, the first one writes."""

from __future__ import annotations

import os


def is_first() -> bool:
    """Whether this process is the one that writes; the only one always is."""
    return os.environ.get("RANK", "0") == "0"


def meet() -> None:
    """Wait until every process is here; nothing where there is one."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        from ..training import meet_processes

        meet_processes()
