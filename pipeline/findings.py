"""What a look at this machine found: each thing is well, or has a command that mends it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What.
        is_ok: Whether it is as it should be.
        text: What was found.
        command: What to run, or to pass to Sardonyx, where it is not; empty where nothing helps or is needed.
    """

    subject: str
    is_ok: bool
    text: str
    command: str = ""
