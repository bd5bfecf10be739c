"""Colours of the plots: those of a sardonyx, layers of brown, cream and black."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Palette:
    """Colours by what they are for, as ``#rrggbb``.

    Attributes:
        ink: Text and the result.
        muted: Axes and second-rank text.
        line: Grid lines.
        accent: What is looked at.
        second: What it is compared with.
        soft: Fills behind.
        good: An improvement.
        bad: A loss.
    """

    ink: str
    muted: str
    line: str
    accent: str
    second: str
    soft: str
    good: str
    bad: str


PRINT = Palette(
    ink="#1f1815",
    muted="#7a6d63",
    line="#e6ddd2",
    accent="#a8481f",
    second="#34323c",
    soft="#d9b89b",
    good="#2f7a55",
    bad="#b23a2e",
)
"""For pictures on a light background."""

PAGE = Palette(*(f"#0{i}0{i}0{i}" for i in range(1, 9)))
"""Stand-ins that :func:`to_variable` turns into the page's own colours, so that plots follow light and dark."""

_VARIABLES = {getattr(PAGE, name): f"var(--{name})" for name in Palette.__dataclass_fields__}


def to_variable(color: str) -> str:
    """The variable of the page's style sheet that a stand-in is for; any other text as it is."""
    return _VARIABLES.get(color, color)
